"""The app whose crons give something to tell: they fail and recover, again and again."""
