"""Build what students get from a section's sources, and check both."""
