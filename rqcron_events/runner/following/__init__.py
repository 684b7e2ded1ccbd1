"""Keeping the followers of the log current beside the runner, where they can delay nothing.

Start with ``beside``: a process of their own (``child`` is the runner's side of it, ``process`` what it
does), or, on a database with one writer at a time, a thread (``thread``). Both call ``steps``.
Imports ``ledger`` and below.
"""
