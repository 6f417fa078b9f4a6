"""Notebooks: their sources, their cells, which cells count, and running those."""
