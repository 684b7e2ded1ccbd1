"""What people ask for: each leaves an event that says who and why.

``controls`` triggers, reruns, pauses and resumes; start there. ``backfill`` makes runs for past slots
and waits for them. Imports ``execution``, ``ledger`` and below; commands and the public functions of
``rqcron_events`` call it.
"""
