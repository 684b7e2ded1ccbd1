"""Read models of the cron ledger: tables that answer questions, and can be rebuilt from the log.

Start with ``projection.py`` (what a projection is), then ``folds/runners.py`` (the smallest one) and
``projector.py`` (which keeps the tables current). ``folds`` says what each event does to a row,
``replay`` builds the tables again, ``report`` adds them up.

Of ``rqcron_events`` it imports what reads the log (``core``, ``ledger``, ``models``, ``queries``) and, in
commands, what they share: so it can neither decide nor enqueue. Nothing there imports this package.
"""
