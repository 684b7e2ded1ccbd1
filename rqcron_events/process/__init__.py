"""Of one operating-system process: who runs it (``actor``), dying with its parent (``parent_watch``), a child that is
kept alive (``kept_child``), what signal handlers set (``stop_flag``), when Python collects garbage (``gc_pause``), where tests kill it (``failpoints``), how long a
block may take (``time_limit``), and what a worker loads before it forks (``warm``). Imports leaves.
"""
