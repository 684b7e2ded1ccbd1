"""What every page has: permissions, the zone of its times, links, and the base of its context.

Start with ``frame.py``.
"""
