"""Why a slot fired or did not: a verdict, a sentence for people and the events that prove it.

Start with ``slot``: one function per verdict. It judges ``evidence``, which ``queries.explain``
loads from the log, and answers with an ``explanation`` (the JSON of cron_explain); ``requested`` answers for a run that no slot
asked for. All English is in ``sentences``, except for the parts that ``mismatch`` (which field of a
schedule an instant does not match) and ``clock_change`` put into words; ``run`` folds a run's events.
``event_words`` tells a single event. Imports the rest of ``core`` and nothing else.
"""
