"""``cron_list``, ``cron_history``, ``cron_report`` and ``cron_replay``: one command in each file."""
