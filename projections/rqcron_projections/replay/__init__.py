"""Building the tables again from the log, beside the live ones, and comparing the two.

Start with ``rebuild``: rebuild, check, and the state at an instant. A ``shadow`` holds the tables that
are being built, ``fold`` fills them page by page, and ``session`` says in which database session. It
may import all of this app but ``report`` and the commands. It writes nothing to the log but the note
that a projection was rebuilt, and knows nothing of the queue.
"""
