"""What people do to the course of crons: pauses, and taking back a watermark that is in the future.

``pauses`` is one pause, and those of everything; ``rewind`` is which slots are kept when the others
come again. Imports ``codec``, ``events`` and ``schedule``.
"""
