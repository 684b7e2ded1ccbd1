"""Holding promised slots against recorded decisions, and runs against their outcomes.

Start with ``auditor.CronAuditor``; ``findings`` is what it finds. ``queries.audit`` feeds it.
"""
