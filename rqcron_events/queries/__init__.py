"""Questions about crons, answered from the log: ``explain``, ``audit``, ``health``.

Each loads the evidence that its question needs, by index, and lets ``core`` judge it; none writes
anything, and none prints: that is ``cli`` and the commands. Imports ``execution``, ``leadership``,
``ledger`` and below.
"""
