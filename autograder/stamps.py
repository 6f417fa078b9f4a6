"""`autograder.stamps`, as `nbgrader_config.py` names it; see `nbgrader/stamps.py`."""

from autograder.nbgrader.stamps import forgive_bad_timestamps

__all__ = ["forgive_bad_timestamps"]
