EXECUTED = "executed"
"""A list in Redis with the id of each run that a worker began."""
