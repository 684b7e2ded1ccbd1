"""An app with one crons module."""
