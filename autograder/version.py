"""The version of the course, which results and pages name."""

VERSION = "0.1.0"
