"""Signed notes, by the example that Go's package publishes."""

from __future__ import annotations

import pytest

from rqcron_events.core.seal.note import NoteRefused, Signer, Verifier, new_signer, opened

SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{TEXT}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)
KEY = Verifier.of(PUBLIC)


def test_the_published_example():
    signer = Signer.of(SECRET)
    assert signer.signed(TEXT) == NOTE
    assert signer.verifier.text == PUBLIC
    assert signer.secret_text() == SECRET
    assert opened(NOTE, [KEY]) == TEXT


def test_a_key_is_shown_by_nobody():
    signer = Signer.of(SECRET)
    assert SECRET[-20:] not in repr(signer)
    assert repr(signer.seed) not in repr(signer)


def test_signatures_of_others_are_ignored():
    other = new_signer("example.org/other")
    both = NOTE + other.signed(TEXT).rpartition("\n\n")[2]
    assert opened(both, [KEY]) == TEXT
    assert opened(both, [other.verifier]) == TEXT
    with pytest.raises(NoteRefused, match=r"none of the known keys signed it; signed by: Peter"):
        opened(NOTE, [other.verifier])


def test_two_new_keys_are_two():
    assert new_signer("a").seed != new_signer("a").seed


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (NOTE.replace("your problem,", "my problem,"), "the signature of PeterNeumann is wrong"),
        (NOTE.replace("x08go/ZJ", "x08go/ZK"), "the signature of PeterNeumann is wrong"),
        (TEXT, "no signed note"),
        (NOTE.rstrip("\n"), "no signed note"),
        (NOTE.replace("\u2014 Peter", "- Peter"), "no signature"),
        (NOTE.replace("x08go", "x08g"), "no signature"),
        (NOTE.replace("think", "thi\tnk"), "control characters"),
        ("x" * 70_000 + NOTE, "longer than"),
        (NOTE + NOTE.rpartition("\n\n")[2] * 101, "more than 100 signatures"),
        ("", "no signed note"),
    ],
)
def test_what_is_no_note_or_was_changed_is_refused(note, why):
    with pytest.raises(NoteRefused, match=why):
        opened(note, [KEY])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PUBLIC.replace("c74f20a3", "c74f20a4"), "key id does not belong"),
        (PUBLIC.replace("Peter", "Pe ter"), "it is not <name>"),
        (PUBLIC.replace("ARpc", "Arpc"), "no Ed25519 key"),
        (PUBLIC[:-4], "no Ed25519 key"),
        ("PeterNeumann", "it is not <name>"),
        (PUBLIC.replace("/LDE", "!LDE"), "it is not <name>"),
    ],
)
def test_what_is_no_public_key_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        Verifier.of(text)


@pytest.mark.parametrize(
    "text",
    [PUBLIC, SECRET.replace("c74f20a3", "c74f20a4"), SECRET[:-4], "PRIVATE+KEY+x", SECRET + "!"],
)
def test_what_is_no_private_key_is_refused_and_not_shown(text):
    with pytest.raises(ValueError, match=r"\bits? ") as error:
        Signer.of(text)
    assert "KDFz" not in str(error.value)
    assert "EKFALVFGy" not in str(error.value)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2028b", "a\x00"])
def test_what_is_no_name_of_a_key_is_refused(name):
    with pytest.raises(ValueError, match="is no name of a key"):
        new_signer(name)
