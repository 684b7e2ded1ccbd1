"""What is wrong with the settings of seals, without their secrets."""

from __future__ import annotations

from typing import Any

import pytest

from rqcron_events.core.seal import settings
from rqcron_events.core.seal.note import new_signer
from rqcron_events.core.seal.settings import problems_of_keys, problems_of_receivers

KEY = new_signer("example.org/crons")
SECRET = KEY.secret_text()


def test_right_ones_have_no_problem():
    assert list(problems_of_keys("", [])) == []
    assert list(problems_of_keys(SECRET, (KEY.verifier.text,))) == []
    assert list(problems_of_receivers(
        {
            "disk": {"kind": "file", "path": "/var/lib/seals"},
            "bucket": {"kind": "storage", "storage": "seals", "prefix": "crons/"},
            "others": {"kind": "webhook", "url": "https://example.org/x?y", "token": "t"},
            "git": {"kind": "git", "path": "/srv/seals", "push": "origin"},
        }
    )) == []  # fmt: skip


@pytest.mark.parametrize(
    ("key", "old", "told"),
    [
        (None, [], "RQCRON_SEAL_KEY is no text"),
        (SECRET[:-3], [], "RQCRON_SEAL_KEY is no key: "),
        ("hunter2", [], "RQCRON_SEAL_KEY is no key: "),
        ("", "x", "RQCRON_SEAL_OLD_KEYS is no list"),
        ("", [SECRET], "RQCRON_SEAL_OLD_KEYS has at 0 no public key"),
        ("", [KEY.verifier.text, 3], "RQCRON_SEAL_OLD_KEYS has at 1 no public key"),
    ],
)
def test_a_wrong_key_is_named_and_not_shown(key, old, told):
    [text] = problems_of_keys(key, old)
    assert told in text
    assert "hunter2" not in text
    assert SECRET[-30:-3] not in text


def test_what_has_to_be_installed_is_said(monkeypatch):
    monkeypatch.setattr(settings, "_NEEDS", ("cryptography", "no_such_module"))
    [text] = problems_of_keys(SECRET, [])
    assert "needs no_such_module. Run: pip install 'rqcron-events[seal]'" in text


WRONG: list[tuple[Any, str]] = [
    ([], "is not a dict"),
    ({"": {"kind": "file"}}, "has the name ''"),
    ({"a": "file"}, "Receiver 'a' in RQCRON_SEAL_RECEIVERS is not a dict"),
    ({"a": {}}, "has the kind None. Give one of file, storage, webhook, git"),
    ({"a": {"kind": ["file"]}}, "has the kind ['file']"),
    ({"a": {"kind": "file"}}, "lacks 'path'"),
    ({"a": {"kind": "file", "path": "seals"}}, "has the path 'seals'. Give an absolute one"),
    (
        {"a": {"kind": "file", "path": "/x", "mode": "w"}},
        "has the option 'mode'. Known: kind, path",
    ),
    ({"a": {"kind": "storage", "storage": 3}}, "has no text for 'storage'"),
    ({"a": {"kind": "webhook", "url": "ftp://x"}}, "needs a URL"),
    ({"a": {"kind": "webhook", "url": "https://u:p@x"}}, "needs a URL"),
    ({"a": {"kind": "webhook", "url": "https://x:99999"}}, "needs a URL"),
    ({"a": {"kind": "webhook", "url": "https://x/a b"}}, "needs a URL"),
]


@pytest.mark.parametrize(("given", "told"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_receiver_is_named(given, told):
    [text] = problems_of_receivers(given)
    assert told in text
    assert "u:p@x" not in text
