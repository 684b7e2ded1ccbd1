"""Alerts without another system: rules over the log, an outbox, and receivers.

Start with ``follow.step``: it reads what is new in the log, folds it into the state of each rule and cron
(``fold``, ``state``), looks at what only time tells (``timed``), and puts what has to be told into the
outbox, all in one transaction with its checkpoint. ``courier`` sends it, in threads of its own.
"""
