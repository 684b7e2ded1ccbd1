"""A git repository: a commit for each checkpoint, and a push where one is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess

from .file import FilePlace
from .publish import NotTaken

__all__ = ["commit", "place_of"]

SECONDS_MAX = 60.0
"""For each command."""
_WHO = ("-c", "user.name=rqcron-events", "-c", "user.email=rqcron-events@localhost")


def place_of(path: str) -> FilePlace:
    """Raises NotTaken where there is no repository."""
    if not (FilePlace(path).root / ".git").exists():
        raise NotTaken(f"{path} is no git repository. Make one: git init {path}")
    return FilePlace(path)


def commit(path: str, size: int, push: str) -> None:
    """Commit what was written there, and push it to the remote of this name."""
    _git(path, "add", "--all")
    if _git(path, "status", "--porcelain"):
        _git(path, *_WHO, "commit", "--quiet", "--no-verify", "-m", f"Sealed: {size} events")
    if push:
        _git(path, "push", "--quiet", push, "HEAD")


def _git(path: str, *words: str) -> str:
    """What it prints to stderr may name a URL with a token, so it is not told."""
    program = shutil.which("git")
    if program is None:
        raise NotTaken("git is not installed")
    verb = next(word for word in words if word in ("add", "status", "commit", "push"))
    try:
        done = subprocess.run(
            [program, "-C", path, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except subprocess.TimeoutExpired:
        raise NotTaken(f"git {verb} took longer than {SECONDS_MAX:.0f} s") from None
    if done.returncode:
        raise NotTaken(f"git {verb} ended with exit code {done.returncode}")
    return done.stdout
