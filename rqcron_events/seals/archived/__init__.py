"""The archived part of the log, as a verification goes through it: ``passage`` has the segments, ``kept_rows``
what stays of their events in the log."""
