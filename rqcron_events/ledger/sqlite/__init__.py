"""The ledger on SQLite: start with ``log``. ``tables`` holds rows of projections, in bulk."""
