"""The ledger on PostgreSQL: start with ``log``. ``tables`` holds rows of projections, in bulk."""
