"""A project whose crons tell which session of the database they have."""
