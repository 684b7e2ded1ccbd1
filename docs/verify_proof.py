#!/usr/bin/env python3
"""Check a file that ``manage.py cron_explain ... --proof FILE`` wrote: python verify_proof.py FILE --key KEY

Needs Python 3.9 or later and the package ``cryptography``, and nothing of rqcron-events. KEY is the
log's public key, which you have from somebody you trust, not from the file. Exit code 0: each event
that is printed was in the log when the checkpoint was signed, exactly as it is printed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Wrong(Exception):
    """The proof does not hold."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a proof that cron_explain wrote.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--key", required=True, help="the log's public key: NAME+ID+BASE64")
    options = parser.parse_args()
    try:
        proof = json.loads(options.file.read_text(encoding="utf-8"))
        size, root = opened(proof["checkpoint"], options.key)
        events = [checked(item, size, root) for item in proof["events"]]
        if not events:
            raise Wrong("there is no event in it")
    except (Wrong, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"WRONG: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for event in events:
        print(json.dumps(event, ensure_ascii=False))
    print(f"OK: {len(events)} events, among the first {size} of the log.", file=sys.stderr)
    return 0


def opened(note: str, key: str) -> tuple[int, bytes]:
    """Size and root of the checkpoint, if this key signed it (C2SP signed-note, tlog-checkpoint)."""
    name, key_id, encoded = key.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    named = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    if len(public) != 33 or public[:1] != b"\x01" or named.hex() != key_id:
        raise Wrong("the key is no Ed25519 key with its own id")
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        dash, signer, encoded = line.split(" ", 2)
        signature = base64.b64decode(encoded, validate=True)
        if (dash, signer, signature[:4]) != ("\u2014", name, named):
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], text.encode())
        except InvalidSignature:
            raise Wrong("the signature of the checkpoint is wrong") from None
        origin, size, root = text.split("\n")[:3]
        if origin != name:
            raise Wrong(f"the checkpoint is of another log, {origin}")
        return int(size), base64.b64decode(root, validate=True)
    raise Wrong("the key has not signed the checkpoint")


def checked(item: dict[str, Any], size: int, root: bytes) -> Any:
    """The event, if the path leads from it to the root (RFC 9162, 2.1.3.2)."""
    index = item["index"]
    if not isinstance(index, int) or not 0 <= index < size:
        raise Wrong(f"event {index} is not in a log of {size}")
    found = hashlib.sha256(b"\0" + item["leaf"].encode()).digest()
    place, last = index, size - 1
    for encoded in item["path"]:
        other = base64.b64decode(encoded, validate=True)
        if len(other) != 32 or last == 0:
            raise Wrong(f"the path of event {index} is no path")
        if place & 1 or place == last:
            found = hashlib.sha256(b"\1" + other + found).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + other).digest()
        place, last = place >> 1, last >> 1
    if last or found != root:
        raise Wrong(f"event {index} is not what was sealed")
    return json.loads(item["leaf"])


if __name__ == "__main__":
    sys.exit(main())
