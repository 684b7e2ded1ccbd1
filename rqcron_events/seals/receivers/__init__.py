"""Where checkpoints go, one kind a file: a directory, a Django storage, a git repository, a webhook.

Start with ``send``. The first three get the whole tree as C2SP tlog-tiles lays it out (``publish``).
"""
