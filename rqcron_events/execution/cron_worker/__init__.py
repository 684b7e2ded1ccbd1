"""What ``manage.py cron_worker`` is: a worker of RQ's, and a runner in a process beside it.

Start with ``embedded_runner``, which starts both; ``patient_worker`` is a worker that outlives an outage
of Redis. Imports ``execution`` and below.
"""
