"""What errors have in common when numbers, names and ids are left out."""

from __future__ import annotations

import pytest

from rqcron_events.core.words.error_shape import message_shape


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ("order 4711 not found", "order <number> not found"),
        ("took 3.5s, 1,000 rows", "took <number>s, <number> rows"),
        ("no key 'ann' in \"users\"", "no key <text> in <text>"),
        ("can't open it, don't know why", "can't open it, don't know why"),
        ("run 0ec91153-6c4e-50ae-adf0-995866017f31 died", "run <uuid> died"),
        ("object at 0x7F3a, commit deadbeef01", "object at <hex>, commit <hex>"),
        ("facade decade", "facade decade"),
        ("two\n  lines", "two lines"),
        ("x" * 5_000, "x" * 120),
    ],
)
def test_a_message_is_reduced_to_its_shape(message: str, shape: str) -> None:
    assert message_shape(message) == shape
