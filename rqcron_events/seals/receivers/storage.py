"""One of Django's STORAGES: any bucket, by django-storages."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages

from .publish import CHECKPOINT, NotTaken

__all__ = ["StoragePlace"]


class StoragePlace:
    """Below a prefix of the storage."""

    def __init__(self, alias: str, prefix: str = "") -> None:
        self._storage: Any = storages[alias]
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def read(self, name: str) -> bytes | None:
        path = self._prefix + name
        if not self._storage.exists(path):
            return None
        with self._storage.open(path, "rb") as file:
            return bytes(file.read())

    def write(self, name: str, content: bytes) -> None:
        path = self._prefix + name
        if self._storage.exists(path):
            if name != CHECKPOINT and self.read(name) == content:
                return
            self._storage.delete(path)
        stored = self._storage.save(path, ContentFile(content))
        if stored != path:  # somebody else wrote there meanwhile
            self._storage.delete(stored)
            raise NotTaken(f"the storage has {name} already")

    def remove_all(self, name: str) -> None:
        path = self._prefix + name
        with suppress(NotImplementedError, OSError):
            for file in self._storage.listdir(path)[1]:
                self._storage.delete(f"{path}/{file}")
