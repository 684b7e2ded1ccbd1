"""Metrics for Prometheus, served by the web process: it lives when the runner is dead.

``metrics`` names them all, ``scrape`` collects them part by part, ``views`` serves them. Imports
the models of the projections, and ``rqcron_events.queries`` for what is no projection.
"""
