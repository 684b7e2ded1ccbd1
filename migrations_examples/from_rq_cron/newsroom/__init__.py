"""A newsroom that had a cron_config.py for ``rq cron``."""
