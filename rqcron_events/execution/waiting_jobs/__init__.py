"""Jobs that wait in RQ: ``take_out`` removes those that somebody cancelled; ``seen_jobs``, by
``continuity``, tells a job that somebody deleted from one that Redis lost. Imports ``rq_jobs`` and below.
"""
