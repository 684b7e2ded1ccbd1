"""The pure heart: schedules, definitions, events, folding, deciding, explaining.

Nothing in here imports Django or Redis, reads a clock or touches a database.
"""
