"""Plots as SVG, drawn by the server: shapes with classes, and no style in the markup."""

from __future__ import annotations

__all__: list[str] = []
