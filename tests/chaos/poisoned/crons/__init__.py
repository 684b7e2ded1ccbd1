"""A hundred crons that are due every second, and modules beside them that are not fit to load."""
