"""Spans for OpenTelemetry, told from the log: a decision, its run, and each attempt.

Start with ``tell`` (a page of the log, and what is told of it); ``spans`` says which spans a run has, and
``teller`` who tells them. Only ``export`` knows OpenTelemetry.
"""
