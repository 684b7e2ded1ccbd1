"""Of one operating-system process: who runs it (``actor``), dying with its parent (``parent_watch``),
when Python collects garbage (``gc_pause``), and where tests kill it (``failpoints``). Imports leaves.
"""
