"""A notebook: its source, its cells, the ones that count, and running them."""
