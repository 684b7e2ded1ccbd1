"""What became of runs, as an audit asks it: many at once."""
