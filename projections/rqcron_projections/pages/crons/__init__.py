"""A cron at a glance: its newest slots, the figures of its last days, and why it is as it is.

Start with ``rows.py``.
"""
