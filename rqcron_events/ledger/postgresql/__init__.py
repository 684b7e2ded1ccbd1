"""The ledger on PostgreSQL: ``log`` has its statements, triggers and fence, ``tables`` rows in bulk."""
