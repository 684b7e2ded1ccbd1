"""Text signed by a key: C2SP signed-note with Ed25519, and the key's text forms that go with it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

__all__ = ["NoteRefused", "Signer", "Verifier", "new_signer", "opened", "problem_of_name"]

NOTE_BYTES_MAX = 64_000
SIGNATURES_MAX = 100
ED25519 = b"\x01"
PRIVATE = "PRIVATE+KEY+"


class NoteRefused(ValueError):
    """It is no note, or none that a known key signed."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name; as text ``<name>+<key id>+<base64>``."""

    name: str
    public: bytes

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises ValueError that says what is wrong with it."""
        name, public = _key(text, "<name>+<8 hexadecimal digits>+<base64>")
        found = cls(name, public)
        if text.split("+", 2)[1] != found.key_id.hex():
            raise ValueError("its key id does not belong to its name and key")
        return found

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(ED25519 + self.public)}"

    def verifies(self, text: str, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with its name; as text ``PRIVATE+KEY+<name>+<key id>+<base64>``."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises ValueError, which never shows the key."""
        if not text.startswith(PRIVATE):
            raise ValueError(f"it does not begin with {PRIVATE}")
        rest = text.removeprefix(PRIVATE)
        found = cls(*_key(rest, f"{PRIVATE}<name>+<8 hexadecimal digits>+<base64>"))
        if rest.split("+", 2)[1] != found.verifier.key_id.hex():
            raise ValueError("its key id does not belong to its name and key")
        return found

    @property
    def verifier(self) -> Verifier:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return Verifier(self.name, key.public_key().public_bytes_raw())

    def secret_text(self) -> str:
        """The private key. For the person who makes one, and nobody else."""
        return f"{PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{_base64(ED25519 + self.seed)}"

    def signed(self, text: str) -> str:
        """The note of this text, which ends with a newline."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return f"{text}\n\u2014 {self.name} {_base64(self.verifier.key_id + signature)}\n"


def new_signer(name: str) -> Signer:
    """A new key. Raises ValueError for a name that no key can have."""
    problem = problem_of_name(name)
    if problem:
        raise ValueError(problem)
    return Signer(name, secrets.token_bytes(32))


def problem_of_name(name: str) -> str:
    """What is wrong with the name of a key, or nothing."""
    if not name or "+" in name or any(map(str.isspace, name)) or not name.isprintable():
        return f"{name!r} is no name of a key: no spaces and no plus, as in example.org/crons"
    return ""


def opened(note: str, keys: Iterable[Verifier]) -> str:
    """The text of the note, which ends with a newline. Raises NoteRefused unless one of the keys signed
    it, and none of them only seems to have."""
    text, signatures = _taken_apart(note)
    known = {(key.name, key.key_id): key for key in keys}
    signers = set()
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        if not key.verifies(text, signature):
            raise NoteRefused(f"the signature of {name} is wrong")
        signers.add(key)
    if not signers:
        names = ", ".join(sorted({name for name, _, _ in signatures}))
        raise NoteRefused(f"none of the known keys signed it; signed by: {names}")
    return text


def _taken_apart(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    if len(note.encode(errors="replace")) > NOTE_BYTES_MAX:
        raise NoteRefused(f"it is longer than {NOTE_BYTES_MAX:,} bytes")
    if any(character < " " and character != "\n" for character in note):
        raise NoteRefused("it has control characters")
    text, found, lines = note.rpartition("\n\n")
    if not found or not lines.endswith("\n"):
        raise NoteRefused("it is no signed note: no signature stands behind a blank line")
    signatures = []
    for line in lines[:-1].split("\n")[: SIGNATURES_MAX + 1]:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if dash != "\u2014" or problem_of_name(name) or len(decoded) < 5:
            raise NoteRefused("it is no signed note: a line behind the blank one is no signature")
        signatures.append((name, decoded[:4], decoded[4:]))
    if len(signatures) > SIGNATURES_MAX:
        raise NoteRefused(f"it has more than {SIGNATURES_MAX} signatures")
    return text + "\n", signatures


def _key(text: str, form: str) -> tuple[str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3 or problem_of_name(parts[0]):
        raise ValueError(f"it is not {form}")
    try:
        decoded = base64.b64decode(parts[2], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"it is not {form}") from None
    if len(decoded) != 33 or decoded[:1] != ED25519:
        raise ValueError("it is no Ed25519 key of 32 bytes")
    return parts[0], decoded[1:]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
