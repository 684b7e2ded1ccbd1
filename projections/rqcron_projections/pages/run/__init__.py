"""The page of one run: attempts, error, result. Start with ``view.py``."""
