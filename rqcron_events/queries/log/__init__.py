"""What the log is like as a whole: how much room it takes, and until when there is enough.

Imports ``ledger`` and below; used by ``health`` and by pages.
"""
