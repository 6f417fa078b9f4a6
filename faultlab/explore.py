"""`faultlab.explore`, as notebooks import it; see `pictures/explore.py`."""

from faultlab.pictures.explore import explore

__all__ = ["explore"]
