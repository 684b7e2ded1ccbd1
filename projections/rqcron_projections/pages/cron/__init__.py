"""The page of one cron: its timeline, plots, definitions and what is due. Start with ``view.py``."""
