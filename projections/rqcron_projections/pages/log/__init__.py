"""The page of the events, filtered. Start with ``view.py``."""
