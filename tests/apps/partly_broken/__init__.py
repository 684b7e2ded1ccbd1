"""An app with a crons package, one module of which does not import."""
