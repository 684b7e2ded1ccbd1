"""Old events in files: what writes them, and what reads them where a question reaches that far.

Start with ``archiving.archive``: ``boundary`` says how far it may go, ``writing`` makes a segment and reads it
back from its ``place``, ``keeping`` knows which rows stay, ``removing`` deletes the others. ``follower`` has it called
beside the runner that leads. ``reading`` answers questions; ``seals.segments`` fetches a segment and verifies it.
What a segment is, is in ``core.archive``.
"""
