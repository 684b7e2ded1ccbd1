"""What an archived segment is: a file of sealed events that proves itself.

``segment`` writes and reads it, ``row`` makes stored rows of its lines again. Imports ``core.seal`` and ``codec``.
"""
