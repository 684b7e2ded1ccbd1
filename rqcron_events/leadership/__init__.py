"""Which runner leads, which are alive, which code is newer, and when nobody could decide.

Start with ``lease``: it saves work, correctness rests on stream versions. ``heartbeat`` is a
runner's own events, ``code_version`` keeps a rolling deploy from flapping, ``downtime`` tells
``explain`` when no runner was alive. Imports ``ledger`` and below; knows no queue.
"""
