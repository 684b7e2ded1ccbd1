"""What pages draw: the marks of slots (``marks.py``) and plots as SVG (``plots.py``).

Nothing here reads a table. Colours are those of classes in ``static/rqcron/pages.css``: no style
stands in the markup, so that a strict Content-Security-Policy holds.
"""
