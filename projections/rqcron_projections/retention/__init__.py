"""How long rows of runs stay: ``RQCRON_RUN_DAYS``.

``rule`` says which rows are old, ``late`` which events are about rows that were removed, ``remove`` takes them away
beside the runner that leads. The instant of the last removal is ``Checkpoint.kept_from``, so that a replay leaves
out the same rows. Days and totals are never removed.
"""
