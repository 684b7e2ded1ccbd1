"""The page of figures of a range of time. Start with ``view.py``."""
