"""The edge to RQ: runs become jobs, and what workers do with them becomes events.

Start with ``enqueuer`` (runs to jobs, and what becomes of them when Redis is away or full;
``run_request``, ``job_data`` and ``refusal`` are its parts), then ``attempt`` (how did it begin and end; ``worker`` calls it inside a job) and
``work_horse`` (its parts: may it start, and the connection after a user's function had it). ``ledger_writer`` writes for the work-horses of a worker. ``spool`` keeps in Redis
what the ledger could not take (``spool_entry`` says what is believed, ``spool_lists`` holds the keys).
``time_limit`` bounds what the ledger may cost a job, ``told`` what the text of an exception may;
``rq_jobs`` asks RQ about jobs
(``unreadable_jobs``: those it could not read), ``cron_worker`` is a worker with a runner beside it. Imports ``ledger`` and below; beside ``worker`` and
two entry points, only this knows RQ.
"""
