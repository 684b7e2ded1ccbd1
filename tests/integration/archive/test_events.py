"""``cron_events`` shows archived events as it showed them before."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from rqcron_events.models import CronEvent, CronSegment
from tests.archiving import archive, forget_files, unreachable
from tests.sealing import fire, history, run_of

WORDS = [
    ["--limit", "0"],
    ["--limit", "7"],
    ["--limit", "30"],
    ["--limit", "0", "--cron", "alpha"],
    ["--limit", "5", "--cron", "alpha"],
    ["--limit", "3", "--type", "cron_registered"],
    ["--limit", "0", "--type", "run_failed", "--type", "cron_registered"],
    ["--limit", "9", "--type", "run_failed"],
    ["--limit", "0", "--run", str(run_of("alpha", 2))],
    ["--limit", "2", "--run", str(run_of("alpha", 2))],
    ["--limit", "0", "--since", "2026-03-02 12:02", "--until", "2026-03-02 12:04"],
    ["--limit", "100", "--until", "2026-03-02 12:03"],
    ["--limit", "4", "--since", "2026-03-02 12:03", "--until", "2026-03-02 12:05"],
]


def shown(*words: str) -> str:
    out = io.StringIO()
    call_command("cron_events", *words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_what_is_shown_is_the_same(form: str):
    for number in range(1, 7):
        for cron in ("alpha", "beta", "caf\u00e9"):
            fire(cron, number)

    def told() -> list[Any]:
        texts = [shown(*words, "--format", form) for words in WORDS]
        return list(map(json.loads, texts)) if form == "json" else texts

    before = told()
    for size in (20, 20):
        archive(size, per_seal=3)
    assert CronEvent.objects.count() < 65
    assert told() == before


@pytest.mark.parametrize("words", [["--limit", "0"], ["--limit", "30"]], ids=["all", "newest"])
def test_what_is_out_of_reach_is_named_when_the_rest_is_shown(directory: Path, words: list[str]):
    history("alpha", runs=6)
    archive(13)
    unreachable(directory)
    forget_files()
    left = list(CronEvent.objects.order_by("id").values_list("id", flat=True))
    out = io.StringIO()
    path = CronSegment.objects.get().path
    with pytest.raises(CommandError, match=path):
        call_command("cron_events", *words, "--format", "json", stdout=out)
    assert [event["id"] for event in json.loads(out.getvalue())] == left


def test_what_the_log_answers_asks_for_no_segment(directory: Path):
    history("alpha", runs=6)
    with CaptureQueriesContext(connection) as queries:
        shown("--limit", "5")
    archive(13)
    unreachable(directory)
    forget_files()
    with CaptureQueriesContext(connection) as after:
        shown("--limit", "5")
    assert len(after) == len(queries)
    assert shown("--limit", "0", "--since", "2026-03-02 12:06")
