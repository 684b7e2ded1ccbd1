"""The runner: decides each due slot, records the decision, then hands the run to RQ.

Start with ``Runner.tick`` in ``runner``: the whole flow in twenty lines. Its parts: ``due_queue``
(when to look at which cron), ``registration`` (the code's crons into the log), ``reconciler`` (what a
crash left open), ``redis_outage`` (which is said once, not per run). Around it: ``loop`` is the process of ``cron_run`` with its signals
and outages, ``once`` one pass without it, ``following`` keeps projections current. Imports
``execution``, ``leadership``, ``ledger`` and below.
"""
