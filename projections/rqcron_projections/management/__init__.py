"""The commands that show projections: parse, ask, print.

One file per command in ``commands``; ``freshness`` brings the tables up to date before one answers.
It may import all of this app, and the commands' shared parts of ``rqcron_events``; nothing imports it.
Start with ``commands/cron_list.py``.
"""
