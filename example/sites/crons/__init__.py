"""The crons of the demo: each module is found by itself."""
