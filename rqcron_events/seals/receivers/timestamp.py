"""A time stamp of the checkpoint by somebody else's clock (RFC 3161), kept beside the checkpoint."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from ...core.seal.tiles import index_path
from .file import FilePlace
from .publish import NotTaken
from .webhook import ask

__all__ = ["SECONDS_BY_DEFAULT", "stamp"]

SECONDS_BY_DEFAULT = 3_600.0
"""How long an authority is not asked again: most serve everybody for nothing."""
_GRANTED = ("granted", "granted_with_mods")


def stamp(url: str, path: str, note: str, size: int) -> str:
    """Ask the authority, and write its answer to ``timestamps/<size>.tsr``, and the checkpoint beside it.

    That the answer is about this checkpoint is checked here; its signature by whoever has the authority's
    certificate, such as ``openssl ts -verify``. Raises NotTaken.
    """
    content = note.encode()
    digest, nonce = hashlib.sha256(content).digest(), secrets.randbits(63)
    _, answer = ask(url, _request(digest, nonce), "application/timestamp-query")
    stamped_at = _checked(answer, digest, nonce)
    place, name = FilePlace(path), f"timestamps/{index_path(size)}"
    place.write(f"{name}.checkpoint", content)
    place.write(f"{name}.tsr", answer)  # last: with the checkpoint, it is whole
    return f"stamped {stamped_at:%Y-%m-%d %H:%M:%S} UTC"


def _request(digest: bytes, nonce: int) -> bytes:
    from asn1crypto.tsp import TimeStampReq

    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
    request = {"version": "v1", "message_imprint": imprint, "nonce": nonce, "cert_req": True}
    return bytes(TimeStampReq(request).dump())


def _checked(answer: bytes, digest: bytes, nonce: int) -> datetime:
    """When it was stamped. Raises NotTaken."""
    from asn1crypto.tsp import TimeStampResp

    try:
        response = TimeStampResp.load(answer)
        status = response["status"]["status"].native
        if status not in _GRANTED:
            raise NotTaken(f"it refused: {status}")
        signed = response["time_stamp_token"]["content"]
        token = signed["encap_content_info"]["content"].parsed
        about = token["message_imprint"]["hashed_message"].native, token["nonce"].native
        stamped_at: datetime = token["gen_time"].native
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotTaken("its answer is no time stamp, but a refusal or something else") from error
    if about != (digest, nonce):
        raise NotTaken("its time stamp is about something else")
    return stamped_at
