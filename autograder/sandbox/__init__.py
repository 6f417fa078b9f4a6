"""The sandbox where submissions run on Linux: one process each, forked from a warm one and locked down; see `start`."""
