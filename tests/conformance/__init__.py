"""The ledger's promises, checked on each database and over every way to write to it."""
