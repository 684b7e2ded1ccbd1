"""Sending one checkpoint to one receiver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.seal.note import Verifier
from ...core.seal.tiles import LoadTile
from . import git
from .file import FilePlace
from .publish import CHECKPOINT, CONTRADICTION, NotTaken, publish
from .storage import StoragePlace
from .timestamp import stamp
from .webhook import post

__all__ = ["CONTRADICTION", "NotTaken", "newest_at", "send"]


def send(
    options: Mapping[str, Any], note: str, size: int, load: LoadTile, keys: list[Verifier]
) -> str:
    """What the receiver answered, in a few words. The same checkpoint may be sent again.

    Raises NotTaken, without secrets in its text.
    """
    try:
        match options["kind"]:
            case "webhook":
                return post(options["url"], note, options.get("token", ""))
            case "timestamp":
                return stamp(options["url"], str(options["path"]), note, size)
            case "file":
                publish(FilePlace(str(options["path"])), note, load, keys)
            case "storage":
                place = StoragePlace(options["storage"], options.get("prefix", ""))
                publish(place, note, load, keys)
            case _:
                path = str(options["path"])
                publish(git.place_of(path), note, load, keys)
                git.commit(path, size, options.get("push", ""))
    except NotTaken:
        raise
    except Exception as error:  # whatever a storage raises: its text may hold a key
        raise NotTaken(type(error).__name__) from None
    return "written"


def newest_at(options: Mapping[str, Any]) -> str | None:
    """The newest checkpoint that a receiver has; None where it has none, or gives none back, as a webhook.

    Raises NotTaken, without secrets in its text.
    """
    try:
        match options["kind"]:
            case "webhook" | "timestamp":
                return None
            case "storage":
                place = StoragePlace(options["storage"], options.get("prefix", ""))
                content = place.read(CHECKPOINT)
            case _:
                content = FilePlace(str(options["path"])).read(CHECKPOINT)
    except NotTaken:
        raise
    except Exception as error:  # whatever a storage raises: its text may hold a key
        raise NotTaken(type(error).__name__) from None
    return content.decode(errors="replace") if content is not None else None
