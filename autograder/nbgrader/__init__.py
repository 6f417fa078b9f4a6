"""nbgrader's files, database and exchange, through its own code."""
