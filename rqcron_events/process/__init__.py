"""Of one operating-system process: dying with its parent (``parent_watch``), when Python collects
garbage (``gc_pause``), and the places where tests kill it (``failpoints``). Imports nothing of ours.
"""
