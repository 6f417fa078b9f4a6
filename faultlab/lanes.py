"""`faultlab.lanes`, as notebooks import it; see `pictures/lanes.py`."""

from faultlab.pictures.lanes import compare, lanes

__all__ = ["compare", "lanes"]
