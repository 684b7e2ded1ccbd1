"""The app whose crons run under faults."""
