"""What commands read and print: ``times`` as people write them, ``tables``, and events and
explanations for a terminal (``render``). Imports ``ledger`` and ``core``; the only part with rich.
"""
