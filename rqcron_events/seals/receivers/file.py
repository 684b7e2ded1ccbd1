"""A directory of this machine, or one that is mounted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .publish import NotTaken

__all__ = ["FilePlace"]


class FilePlace:
    """Each file appears whole."""

    def __init__(self, path: str) -> None:
        self.root = Path(path)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotTaken(f"{name} cannot be read: {error.strerror}") from error

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise NotTaken(f"{name} cannot be written: {error.strerror}") from error

    def remove_all(self, name: str) -> None:
        shutil.rmtree(self.root / name, ignore_errors=True)
