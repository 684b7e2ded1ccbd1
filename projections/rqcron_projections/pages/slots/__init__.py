"""What became of slots: of one cron in a range of time, or the newest ones of many crons.

Start with ``recent.py``.
"""
