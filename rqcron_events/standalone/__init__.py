"""``cron_standalone``: Redis, workers with a runner and the web on one machine, for development.

Start with ``supervisor``: it starts each part as a ``child`` process that dies with it.
``redis_server`` finds the Redis of the settings, or starts one.
"""
