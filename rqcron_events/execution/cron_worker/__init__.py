"""What ``manage.py cron_worker`` is: a worker of RQ's, with a runner and a writer in processes beside it.

Start with ``embedded_runner``, which starts them (the writer is in ``ledger_writer``); ``patient_worker`` is a worker that outlives an outage
of Redis. Imports ``execution`` and below.
"""
