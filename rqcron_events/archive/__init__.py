"""Old events in files: what writes them, and what reads them where a question reaches that far.

Start with ``reading`` for questions; ``seals.segments`` fetches a segment and verifies it.
"""
