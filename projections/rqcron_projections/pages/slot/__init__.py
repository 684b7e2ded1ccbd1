"""The page of one slot: why it fired or not, with all evidence. Start with ``view.py``."""
