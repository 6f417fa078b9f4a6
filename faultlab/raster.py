"""`faultlab.raster`, as notebooks import it; see `pictures/raster.py` and `pictures/series.py`."""

from faultlab.pictures.raster import raster, slots
from faultlab.pictures.series import Interval, in_flight, marked, occupancy

__all__ = ["Interval", "in_flight", "marked", "occupancy", "raster", "slots"]
