"""`autograder.exchange`, as `nbgrader_config.py` names it; see `nbgrader/exchange.py`."""

from autograder.nbgrader.exchange import Collect, List, ReleaseFeedback

__all__ = ["Collect", "List", "ReleaseFeedback"]
