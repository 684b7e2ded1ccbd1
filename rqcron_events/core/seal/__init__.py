"""What a seal is: which bytes of an event are hashed, the Merkle tree over them, the signed checkpoint.

Start with ``leaf``; ``merkle`` and ``tiles`` are the tree (RFC 6962, C2SP tlog-tiles), ``note`` and
``checkpoint`` what is signed (C2SP signed-note, tlog-checkpoint). Imports ``codec`` for the shape of a row.
"""
