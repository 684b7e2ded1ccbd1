"""What people do from a page: pause, resume, run now, rerun, backfill.
Start with ``view.py``."""
