"""`faultlab.sheet`, as notebooks import it; see `pictures/sheet.py`."""

from faultlab.pictures.sheet import Bar, Dots, Line, Sheet, Text

__all__ = ["Bar", "Dots", "Line", "Sheet", "Text"]
