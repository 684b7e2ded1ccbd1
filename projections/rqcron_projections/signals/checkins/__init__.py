"""Check-ins for monitors of others: a begin and an end for each run, told from the log.

Start with ``follow.follow``: it reads what is new in the log, and puts what each monitor is to be told
into the outbox (``fold``), in one transaction with its checkpoint. ``courier`` sends it, in threads of
its own; ``lane`` decides what of one cron comes next, and what a limit leaves out; ``pings`` and
``sentry`` speak the protocols.
"""
