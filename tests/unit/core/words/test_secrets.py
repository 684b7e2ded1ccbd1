"""What looks like a secret is taken out before a text is stored; ordinary words are not."""

from __future__ import annotations

import pytest

from rqcron_events.core.words.secrets import without_secrets

SECRET = "hunter2-Zq9x"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"could not log in with password: '{SECRET}'",
        f'{{"user": "ann", "api_key": "{SECRET}"}}',
        f"KeyError: {{'client_secret': '{SECRET}', 'a': 1}}",
        f"postgres://app:{SECRET}@db:5432/shop is not reachable",
        f"redis://:{SECRET}@cache/0",
        f"Authorization: Bearer {SECRET}",
        f"headers={{'Authorization': 'Basic {SECRET}'}}",
        f"https://example.org/hook?token={SECRET}&x=1",
        f"DB_PASSWORD={SECRET} manage.py cron_run",
        f"curl --token {SECRET} example.org",
        f"mysqldump --db-password {SECRET}",
        f"AUTH_TOKEN => {SECRET}",
        f"Cookie: sessionid={SECRET}",
        f"x-api-key: {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET} and the end was cut",
        f"password='{SECRET} with spaces'",
    ],
)
def test_secrets_go(text: str):
    assert SECRET not in without_secrets(text)
    assert "[secret]" in without_secrets(text)


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
        "xoxb-123456789012-abcdef",
        "sk_live_" + "a1B2" * 6,
        "AIza" + "a1B2c" * 7,
        "sk-" + "a1B2" * 6,
        "whsec_" + "a1B2" * 6,
    ],
)
def test_keys_of_services_go(secret: str):
    assert without_secrets(f"the server said: {secret} is invalid") == (
        "the server said: [secret] is invalid"
    )


@pytest.mark.parametrize(
    "text",
    [
        "no order 4711 of Ann",
        "https://example.org:8000/a?page=2#top",
        "KeyError: 'author'",
        "the password was wrong",
        "token bucket is empty",
        "ann@example.org has no basket",
        'Traceback (most recent call last):\n  File "a.py", line 1, in passwords\n    raise E',
        "time: 12:30:45, ratio 1:2",
    ],
)
def test_ordinary_words_stay(text: str):
    assert without_secrets(text) == text


def test_it_is_done_once_and_ends_soon_on_what_is_made_to_be_slow():
    for text in ("password=" * 5_000, "'" * 50_000, "://" + "a:" * 20_000, "eyJ" + "a." * 20_000):
        once = without_secrets(text)
        assert without_secrets(once) == once
