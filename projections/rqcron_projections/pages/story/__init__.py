"""How an explanation and the events behind it are put on a page. Start with ``told.py``."""
