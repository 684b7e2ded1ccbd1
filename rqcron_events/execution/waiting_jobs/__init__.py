"""Jobs that wait in RQ: ``take_out`` removes those that somebody cancelled, and ``continuity`` tells a
job that somebody deleted from one that Redis lost. Imports ``run_request``."""
