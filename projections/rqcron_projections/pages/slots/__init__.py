"""What became of slots: the newest ones of many crons, or those of one cron in a range of time.

``decisions.py`` reads the log, ``entries.py`` says what became of each slot (pure), ``recent.py`` and
``between.py`` put the two together, for the overview and for the page of a cron.
"""
