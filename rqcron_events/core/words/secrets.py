"""What looks like a password, a key or a token is taken out of a text before it is stored."""

from __future__ import annotations

import re

__all__ = ["TAKEN_OUT", "without_secrets"]

TAKEN_OUT = "[secret]"

_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret(?:[_-]?key)?|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key"
    r"|auth(?:orization)?|auth[_-]?token|access[_-]?token|refresh[_-]?token|token|credentials?|cookie|session[_-]?id"
)
_RULES = (
    # A private key in PEM, whole or cut off.
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
    ),
    # scheme://user:password@host
    re.compile(r"(?<=://)(?P<before>[^\s:/@'\"]*:)[^\s/@'\"]+(?=@)"),
    # Authorization: Bearer abc, Basic abc
    re.compile(r"(?P<before>\b(?:bearer|basic|digest)\s+)[\w.~+/=-]{8,}", re.IGNORECASE),
    # password=abc, 'api_key': 'abc', --token abc; DB_PASSWORD=abc
    re.compile(
        rf"(?P<before>(?:\b|_|-)(?:{_NAMES})['\"]?\s*(?:=>|[:=])\s*)"
        r"(?:'(?:[^'\\\n]|\\.)+'|\"(?:[^\"\\\n]|\\.)+\"|[^\s,;&'\"()\[\]{}]+)",
        re.IGNORECASE,
    ),
    re.compile(rf"(?P<before>--(?:[\w-]*-)?(?:{_NAMES})\s+)[^\s-][^\s]*", re.IGNORECASE),
    # JSON web tokens, and keys of well-known services by how they begin.
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),
    re.compile(
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
        r"|\bglpat-[\w-]{20,}|\bxox[abeprs]-[\w-]{10,}|\b[sr]k_(?:live|test)_\w{16,}|\bAIza[\w-]{35}"
        r"|\bsk-[\w-]{20,}|\bwhsec_[\w+/=]{16,}"
    ),
)


def without_secrets(text: str) -> str:
    """The default of ``RQCRON_SCRUB``.

    >>> without_secrets("postgres://app:hunter2@db failed, password='x y' token=abc")
    "postgres://app:[secret]@db failed, password=[secret] token=[secret]"
    """
    for rule in _RULES:
        text = rule.sub(_taken_out, text)
    return text


def _taken_out(found: re.Match[str]) -> str:
    return (found.groupdict().get("before") or "") + TAKEN_OUT
