"""A process beside a worker that writes to the ledger for its work-horses.

A work-horse lives for one job, and a connection to the database costs it more than all else. So the worker
keeps a process with one connection, and a work-horse asks it, over a socket that it inherits: its *channel*.
An answer means "committed". Whoever gets none writes by itself, as where there is no writer.

Start with ``child``, the worker's side: it forks the process, and opens a channel for each work-horse.
``process`` is what the process does, ``channel`` the work-horse's side, ``message`` what is said. ``attempt``
asks. Imports ``ledger`` and below.
"""
