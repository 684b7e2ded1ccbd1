"""What was, at an instant: start with ``crons`` and ``runs``.

``kept`` keeps the rows of all crons now and then, so that ``crons`` need not fold the log from its
beginning. Reads the projections and the log, writes nothing but what is kept. It may import
``folds``, ``tables`` and what is below them; the projector, replays and commands import it.
"""
