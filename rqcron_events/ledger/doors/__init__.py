"""What the table of events lets in, and how a database says what it does not: ``rules`` for its
CHECKs, ``refusal`` for what an insert raises, ``problem`` for what ``check --database`` finds, ``home``
for which table took an event. Imports nothing of the ledger; the databases' packages use it.
"""
