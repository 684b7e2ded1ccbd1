"""A banana stand: the project that moved."""
