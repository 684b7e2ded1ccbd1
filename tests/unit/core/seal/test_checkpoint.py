"""Checkpoints, by the example of the specification."""

from __future__ import annotations

import base64

import pytest

from rqcron_events.core.seal.checkpoint import Checkpoint
from rqcron_events.core.seal.note import NoteRefused, new_signer

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
TEXT = f"example.com/behind-the-sofa\n20852163\n{ROOT}\n"
FOUND = Checkpoint("example.com/behind-the-sofa", 20852163, base64.b64decode(ROOT))


def test_the_published_example():
    assert Checkpoint.of(TEXT) == FOUND
    assert FOUND.text == TEXT
    assert Checkpoint.of(TEXT + "an extension\n") == FOUND


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        TEXT.rstrip("\n"),
        TEXT + "\nx\n",
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "\u0661"),
        TEXT.replace("20852163", "9" * 40),
        TEXT.replace(ROOT, ROOT[:-4]),
        TEXT.replace(ROOT, "x"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteRefused, match="it is no checkpoint"):
        Checkpoint.of(text)


def test_one_of_another_log_is_refused_although_the_key_is_right():
    key = new_signer("example.org/a")
    note = key.signed(FOUND.text)
    assert Checkpoint.opened(note, [key.verifier], FOUND.origin) == FOUND
    with pytest.raises(NoteRefused, match=r"about the log 'example\.com/behind-the-sofa'"):
        Checkpoint.opened(note, [key.verifier], "example.org/a")
