"""From a section's sources to what students get, and what must hold of both."""
