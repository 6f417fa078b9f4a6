"""Where submissions run: one process each, forked from a warm one and locked down, on Linux; see `start`."""
