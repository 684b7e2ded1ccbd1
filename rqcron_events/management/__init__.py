"""The management commands. ``command`` is what they share; each file in ``commands`` parses its
options, calls ``operations``, ``queries`` or ``runner``, and prints.
"""
