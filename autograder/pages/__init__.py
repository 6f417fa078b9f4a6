"""Pages about results: a student's page, the class's report."""
