"""Crons whose names changed: ``names`` finds the log's cron for each cron of the code. Rests on
``cron_state``; the runner's registration, and what compares code and log, rest on it."""
