"""nbgrader's files, database and exchange, used through its own code."""
