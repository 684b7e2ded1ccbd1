"""Sealing the log, telling others what was sealed, and holding the log against that.

Start with ``sealer.seal_next``; ``follower`` has it called beside the runner that leads, ``courier`` sends
checkpoints to ``receivers``, ``verify`` compares, ``proof`` is what a stranger can check. Imports ``ledger``
and below; writes no event. What a seal is, is in ``core.seal``.
"""
