"""An app with mistakes of each kind in its crons, beside one that is right."""
