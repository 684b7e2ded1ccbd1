"""Checkpoints go outside; a receiver that is dead delays nothing and is caught up."""

from __future__ import annotations

import http.server
import logging
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.db import connection

from rqcron_events.core.seal.note import new_signer
from rqcron_events.ledger.backend import backend_of
from rqcron_events.models import CronSeal, CronTile, SealProgress
from rqcron_events.seals import courier
from rqcron_events.seals.courier import deliver
from rqcron_events.seals.receivers import git, webhook
from tests.sealing import execute, fire, history, ids, keep_outside, seal, seal_in_parts, verified


def test_a_directory_gets_the_tree_as_tlog_tiles_lays_it_out(tmp_path: Path):
    count = len(history("alpha", runs=70))
    assert count == 281
    seal_in_parts(100)
    keep_outside(tmp_path)
    newest = CronSeal.objects.last()
    assert (tmp_path / "checkpoint").read_text() == newest.note
    assert (tmp_path / "checkpoints/281").read_text() == newest.note
    assert (tmp_path / "tile/0/000").stat().st_size == 256 * 32
    assert (tmp_path / "tile/0/001.p/25").stat().st_size == 25 * 32
    assert (tmp_path / "tile/1/000.p/1").stat().st_size == 32
    assert verified(tmp_path).ok


def test_partial_tiles_stay_until_the_full_one_is_there(tmp_path: Path):
    history("alpha", runs=10)
    seal()
    keep_outside(tmp_path)
    fire("alpha", 11)
    seal()
    keep_outside(tmp_path)
    assert sorted(file.name for file in (tmp_path / "tile/0/000.p").iterdir()) == ["41", "45"]
    assert sorted(file.name for file in (tmp_path / "checkpoints").iterdir()) == ["041", "045"]
    history("beta", runs=60)
    seal()
    keep_outside(tmp_path)
    assert not (tmp_path / "tile/0/000.p").exists()
    assert (tmp_path / "tile/0/000").exists()
    assert verified(tmp_path).ok


def test_a_storage_gets_the_same(tmp_path: Path, settings: Any):
    settings.STORAGES = {
        **settings.STORAGES,
        "seals": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "bucket")},
        },
    }
    options = {"kind": "storage", "storage": "seals", "prefix": "/crons/"}
    history("alpha", runs=10)
    seal()
    assert deliver("bucket", options)
    history("beta", runs=60)
    seal()
    assert deliver("bucket", options)
    keep_outside(tmp_path / "file")
    there = {
        str(path.relative_to(tmp_path / "file")): path.read_bytes()
        for path in (tmp_path / "file").rglob("*")
        if path.is_file()
    }
    for name, content in there.items():
        assert (tmp_path / "bucket/crons" / name).read_bytes() == content
    assert not list((tmp_path / "bucket/crons/tile/0").glob("000.p/*"))
    assert verified(tmp_path / "bucket/crons").ok


def test_a_storage_that_raises_is_named_without_its_text(settings: Any):
    settings.STORAGES = {
        **settings.STORAGES, "seals": {"BACKEND": "tests.integration.seals.test_receivers.Secretive"}
    }  # fmt: skip
    history("alpha")
    seal()
    assert not deliver("bucket", {"kind": "storage", "storage": "seals"})
    assert SealProgress.objects.get(name="receiver:bucket").told == "RuntimeError"


class Secretive:
    def exists(self, name: str) -> bool:
        raise RuntimeError("the password is hunter2")


def test_a_repository_gets_a_commit_for_each(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    for words in (["init", "-q", str(here)], ["init", "-q", "--bare", str(there)]):
        subprocess.run(["git", *words], check=True)
    _git(here, "remote", "add", "outside", str(there))
    options = {"kind": "git", "path": str(here), "push": "outside"}
    history("alpha")
    seal()
    assert deliver("git", options)
    fire("alpha", 3)
    seal()
    assert deliver("git", options)
    told = _git(there, "log", "--format=%s", "--all").split("\n")
    assert told == ["Sealed: 13 events", "Sealed: 9 events"]
    assert verified(here).ok
    assert deliver("git", options), "nothing is new"


def test_a_push_that_fails_is_made_up_for(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    subprocess.run(["git", "init", "-q", str(here)], check=True)
    _git(here, "remote", "add", "outside", str(there))
    options = {"kind": "git", "path": str(here), "push": "outside"}
    history("alpha")
    seal()
    assert not deliver("git", options)
    row = SealProgress.objects.get(name="receiver:git")
    assert row.told.startswith("git push ended with exit code ")
    subprocess.run(["git", "init", "-q", "--bare", str(there)], check=True)
    assert deliver("git", options)
    assert _git(there, "log", "--format=%s", "--all") == "Sealed: 9 events"


def test_what_is_no_repository_is_refused_with_the_remedy(tmp_path: Path, monkeypatch):
    history("alpha")
    seal()
    assert not deliver("git", {"kind": "git", "path": str(tmp_path)})
    row = SealProgress.objects.get(name="receiver:git")
    assert row.told == f"{tmp_path} is no git repository. Make one: git init {tmp_path}"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(git.shutil, "which", lambda _: None)
    assert not deliver("git", {"kind": "git", "path": str(tmp_path)})
    assert SealProgress.objects.get(name="receiver:git").told == "git is not installed"


def _git(path: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(path), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Listener(http.server.BaseHTTPRequestHandler):
    answer = 200
    got: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, self.headers["Authorization"], body))
        self.send_response(type(self).answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[type[Listener]]:
    class Own(Listener):
        got: ClassVar[list[tuple[str, str | None, bytes]]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        Own.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Own
        server.shutdown()
        thread.join()


def test_a_webhook_gets_the_newest_after_it_was_dead(
    listener: Any, caplog: pytest.LogCaptureFixture
):
    options = {"kind": "webhook", "url": f"{listener.url}/seals?a=b", "token": "hunter2"}
    listener.answer = 503
    history("alpha")
    for number in range(3, 6):
        seal()
        assert not deliver("others", options)
        fire("alpha", number)
    row = SealProgress.objects.get(name="receiver:others")
    assert (row.told, row.size) == ("HTTP 503", 0)
    assert row.failing_since is not None
    listener.answer = 204
    listener.got.clear()
    seal()
    assert deliver("others", options)
    assert deliver("others", options)
    note = CronSeal.objects.last().note
    assert listener.got == [("/seals?a=b", "Bearer hunter2", note.encode())]
    row.refresh_from_db()
    assert (row.told, row.failing_since) == ("HTTP 204", None)
    said = [r for r in caplog.records if r.__dict__.get("action") == "checkpoint_not_taken"]
    assert [r.levelno for r in said if r.levelno > logging.DEBUG] == [logging.WARNING]
    assert "hunter2" not in caplog.text


def test_a_webhook_that_nobody_serves_is_named_without_its_address():
    with pytest.raises(webhook.NotTaken, match=r"^no answer \(ConnectionRefusedError\)$"):
        webhook.post("http://127.0.0.1:1/?token=hunter2", "note")
    with pytest.raises(webhook.NotTaken, match=r"^no answer \("):
        webhook.post("https://127.0.0.1:1/?token=hunter2", "note")


def test_a_webhook_whose_answer_never_ends_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhook, "SECONDS_MAX", 0.2)
    with (
        http.server.HTTPServer(("127.0.0.1", 0), Listener) as server,  # it never answers
        pytest.raises(webhook.NotTaken, match="no answer"),
    ):
        webhook.post(f"http://127.0.0.1:{server.server_port}/", "note")


@pytest.mark.django_db(transaction=True)
def test_one_that_hangs_holds_up_neither_sealing_nor_the_others(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    let_go = threading.Event()
    true_send = courier.send

    def hanging(options: Any, *rest: Any) -> str:
        if options["kind"] == "webhook":
            assert let_go.wait(60)
        return true_send(options, *rest)

    monkeypatch.setattr(courier, "send", hanging)
    settings.RQCRON_SEAL_RECEIVERS = {
        "hangs": {"kind": "webhook", "url": "http://127.0.0.1:1/"},
        "works": {"kind": "file", "path": str(tmp_path)},
    }
    for number in (1, 2, 3):
        fire("alpha", number)
        seal()
        hangs, works = courier.wake()
        works.join(60)
        assert (tmp_path / "checkpoint").read_text() == CronSeal.objects.last().note
    assert hangs.is_alive()
    assert not courier.deliver_all(0)
    let_go.set()
    hangs.join(60)
    assert SealProgress.objects.get(name="receiver:hangs").told.startswith("no answer")


def test_one_that_is_far_behind_is_brought_up_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(courier, "STEP_EVENTS", 10)
    history("alpha", runs=10)
    seal_in_parts(4)
    keep_outside(tmp_path)
    told = sorted(int(file.name) for file in (tmp_path / "checkpoints").iterdir())
    assert told == [12, 24, 36, 41]
    assert verified(tmp_path).ok


def refused(directory: Path) -> str:
    assert not deliver("outside", {"kind": "file", "path": str(directory)})
    return SealProgress.objects.get(name="receiver:outside").told


def test_what_others_know_is_not_overwritten_by_a_log_that_went_back(tmp_path: Path):
    history("alpha")
    seal()
    keep_outside(tmp_path)
    before = (tmp_path / "checkpoint").read_text()
    CronSeal.objects.all().delete()
    CronTile.objects.all().delete()
    backend_of(connection).set_append_only(connection, False)
    execute(f"DELETE FROM rqcron_event WHERE id > {ids()[3]}")
    backend_of(connection).set_append_only(connection, True)
    seal()
    assert refused(tmp_path).startswith(
        "knows another log: it knows 9 events, and only 4 are sealed here"
    )
    history("beta", runs=3)
    seal()
    assert refused(tmp_path).startswith(
        "knows another log: its checkpoint of 9 events is not of the same events"
    )
    assert (tmp_path / "checkpoint").read_text() == before


def test_the_checkpoint_of_another_log_is_not_overwritten(tmp_path: Path):
    (tmp_path / "checkpoint").write_text(
        new_signer("example.org/x").signed("example.org/x\n1\nx\n")
    )
    history("alpha")
    seal()
    assert refused(tmp_path).startswith(
        "knows another log: the checkpoint that it has is not of this log: none of the"
    )


def test_a_directory_that_cannot_be_written_says_why(tmp_path: Path):
    (tmp_path / "tile").write_text("a file is in the way")
    history("alpha")
    seal()
    assert "cannot be written: " in refused(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    assert "checkpoint cannot be read: Is a directory" in refused(tmp_path)
