"""The edge to RQ: runs become jobs, and what workers do with them becomes events.

Start with ``enqueuer`` (runs to jobs; ``run_request``, ``job_data`` and ``refusal`` are its parts),
then ``attempt`` (may it start, how did it end; ``worker`` calls it inside a job). ``spool`` keeps in
Redis what the ledger could not take, ``time_limit`` bounds what the ledger may cost a job, ``rq_jobs``
asks RQ about jobs, ``embedded_runner`` runs a runner beside a worker. Imports ``ledger`` and below;
beside ``worker`` and two entry points, only this knows RQ.
"""
