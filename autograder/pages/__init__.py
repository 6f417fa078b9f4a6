"""What people read of results: a student's page, the class's report."""
