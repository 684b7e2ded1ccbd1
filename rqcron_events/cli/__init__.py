"""What commands read and print.

``times`` reads the instants of options in the right zone (``core.parse_time`` has the grammar),
``tables`` prints rows as table, JSON or CSV, ``render`` shows events and explanations on a terminal.
Imports ``ledger`` and ``core``; the only part with rich.
"""
