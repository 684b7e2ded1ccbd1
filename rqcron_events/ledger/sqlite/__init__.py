"""The ledger on SQLite: ``log`` has its statements and triggers, ``tables`` rows in bulk."""
