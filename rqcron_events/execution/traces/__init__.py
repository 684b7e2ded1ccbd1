"""What is left in Redis of runs that the log does not know any more. Start with ``jobs.job_traces``;
imports ``rq_jobs`` and ``core``."""
