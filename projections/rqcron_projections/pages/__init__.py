"""The pages in Django's admin: every slot of every cron, and why.

Start with ``urls.py`` (which pages there are), then ``frame/`` (what all of them have: who may see
them, in which zone times are shown, how they link to one another) and ``overview/``. ``drawing`` has
the marks and plots.

Pages read the projections' tables and ``rqcron_events.queries``, and act through
``rqcron_events.operations`` only: each with the functions that the commands use. ``admin.py`` hangs
them into an admin site. Nothing imports this package but that file.
"""
