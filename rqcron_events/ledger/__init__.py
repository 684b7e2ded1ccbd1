"""The log in the database: the only code that writes events, and the readers that must miss none.

Start with ``store.append``. ``backend`` is what differs between databases (``postgresql``,
``sqlite``), ``table_backend`` the same for tables of rows; ``optimistic`` appends what rests on what
is known; ``run_streams`` and ``cron_states`` fold streams into states, ``follow`` goes on from a
place in the log, ``lookup`` finds crons and runs by what people type. Imports ``models``, ``conf``
and ``core``; knows no queue and no runner.
"""
