"""The page of when the herds are. Start with ``view.py``."""
