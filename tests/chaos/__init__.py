"""Faults on purpose: real processes are killed and frozen, servers restarted and emptied."""
