"""Runs without incident in one piece, and as one row of a table: most of a log is about such runs."""
