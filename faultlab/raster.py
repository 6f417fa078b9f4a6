"""`faultlab.raster`, as notebooks import it; see `pictures/raster.py`."""

from faultlab.pictures.raster import Interval, in_flight, marked, occupancy, raster, slots

__all__ = ["Interval", "in_flight", "marked", "occupancy", "raster", "slots"]
