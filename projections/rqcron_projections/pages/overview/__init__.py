"""The page of every cron in a row. Start with ``view.py``."""
