"""The parts of an attempt, in the process that runs the function: ``attempt`` puts them together.

Start with ``start`` (may it begin, and recording that); ``ledger_session`` is the ledger's connection after the
function had it, ``trace_context`` the trace that the function goes on with, ``writer`` gives a worker its writer. Imports ``ledger_writer``, ``spool`` and below.
"""
