"""Tags of the templates: times, links and marks. Start with ``rqcron.py``."""
