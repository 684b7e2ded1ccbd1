"""What stands above every page while something keeps crons from running."""

from __future__ import annotations

__all__: list[str] = []
