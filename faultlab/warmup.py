"""`faultlab.warmup`, as notebooks import it; see `pictures/warmup.py`."""

from faultlab.pictures.warmup import arrange, estimate, mended, predict

__all__ = ["arrange", "estimate", "mended", "predict"]
