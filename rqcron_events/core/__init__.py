"""The pure heart: no Django, no Redis, no clock, no database. The same arguments give the same answer.

Start with ``decide``: what to do about due slots, given ``cron_state``, the fold of a cron's events.
``events`` says what the log holds and ``codec`` how it is stored; ``definition`` and ``schedule`` what
a cron is and when it is due. ``explain`` and ``audit`` judge the log, ``repair`` an open run,
``backfill`` past slots. ``wording`` is how times, durations and names are put for people,
``parse_time`` how people's times ("yesterday 9am") are read, and ``bounded`` keeps errors and results
within bytes.
"""
