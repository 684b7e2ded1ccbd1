"""A slot's events with proofs, and the script with which a stranger checks them."""

from __future__ import annotations

import ast
import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from rqcron_events.core.seal.note import new_signer
from rqcron_events.errors import SealBroken
from rqcron_events.models import CronTile
from rqcron_events.seals.proof import proof_of
from tests.processes import ROOT
from tests.sealing import KEY, NAME, fire, gap, history, ids, run_of, seal, seal_in_parts

SCRIPT = ROOT / "docs" / "verify_proof.py"
PUBLIC = KEY.verifier.text


def check(path: Path, key: str = PUBLIC) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", str(SCRIPT), str(path), "--key", key],
                          capture_output=True, text=True, check=False, cwd="/")  # fmt: skip


def explained(path: Path, *more: str) -> str:
    err = io.StringIO()
    words = ("--run", str(run_of("alpha", 1)), "--proof", str(path), *more)
    call_command("cron_explain", *words, stdout=io.StringIO(), stderr=err)
    return err.getvalue()


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    history("alpha", runs=3)
    gap()
    history("beta", runs=40)
    seal_in_parts(37)
    told = explained(tmp_path / "proof.json", "--format", "json")
    assert "events and their proofs are in" in told
    return tmp_path / "proof.json"


def test_a_stranger_checks_the_events_of_a_slot(proof: Path):
    done = check(proof)
    assert (done.returncode, "OK: " in done.stderr) == (0, True), done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    of_run = [event["type"] for event in events if event["run_id"] == str(run_of("alpha", 1))]
    assert of_run == ["slot_fired", "run_enqueued", "run_started", "run_failed"]
    assert events[-1]["data"]["error"].keys() == {"type", "shape"}
    assert "error.message" in events[-1]["data"]["texts"]
    assert {event["id"] for event in events} <= set(ids())


def test_the_script_imports_nothing_of_ours():
    tree = ast.parse(SCRIPT.read_text())
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    others = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert others == {"cryptography"}


def damaged(proof: Path, change: Any) -> subprocess.CompletedProcess[str]:
    data = json.loads(proof.read_text())
    change(data)
    proof.write_text(json.dumps(data))
    return check(proof)


def a_leaf(data: Any) -> None:
    data["events"][1]["leaf"] = data["events"][1]["leaf"].replace("alpha", "omega")


def a_path(data: Any) -> None:
    data["events"][0]["path"][2] = base64.b64encode(b"\1" * 32).decode()


def a_path_that_is_longer(data: Any) -> None:
    data["events"][0]["path"] *= 2


def a_place(data: Any) -> None:
    data["events"][0]["index"] += 1


def a_size(data: Any) -> None:
    data["checkpoint"] = data["checkpoint"].replace("\n174\n", "\n175\n")


def no_event(data: Any) -> None:
    data["events"] = []


def no_signature(data: Any) -> None:
    data["checkpoint"] = data["checkpoint"].partition("\n\n")[0] + "\n\n"


def another_key(data: Any) -> None:
    other = new_signer(NAME)
    data["checkpoint"] = other.signed(data["checkpoint"].partition("\n\n")[0] + "\n")
    data["key"] = other.verifier.text


@pytest.mark.parametrize(
    "change",
    [a_leaf, a_path, a_path_that_is_longer, a_place, a_size, no_event, no_signature, another_key],
)
def test_the_script_refuses(change: Any, proof: Path):
    before = json.loads(proof.read_text())["checkpoint"]
    assert "\n174\n" in before
    done = damaged(proof, change)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("WRONG: ")


def test_the_script_refuses_a_key_that_is_none(proof: Path):
    assert check(proof, "x").stderr.startswith("WRONG: ValueError")
    assert check(proof.with_name("none")).returncode == 1


def test_what_is_not_sealed_yet_is_named_and_left_out(tmp_path: Path):
    fire("alpha", 1)
    with pytest.raises(CommandError, match="None of these events is sealed yet"):
        explained(tmp_path / "a")
    seal()
    assert "Not sealed yet" not in explained(tmp_path / "a")
    fire("alpha", 2)
    proof = proof_of(ids(), KEY.verifier)
    assert (len(proof["events"]), proof["unsealed"]) == (5, ids()[5:])
    (tmp_path / "b").write_text(json.dumps(proof))
    assert check(tmp_path / "b").returncode == 0


def test_no_proof_is_made_of_what_was_changed():
    history("alpha")
    seal()
    tile = CronTile.objects.get()
    tile.hashes = b"\1" * 32 + bytes(tile.hashes)[32:]
    tile.save()
    with pytest.raises(SealBroken, match=f"Event {ids()[0]} is not what was sealed"):
        proof_of(ids()[:1], KEY.verifier)
    tile.delete()
    with pytest.raises(SealBroken, match="A stored tile is damaged"):
        proof_of(ids()[:1], KEY.verifier)


def test_without_a_key_and_where_it_cannot_be_written_it_says_so(tmp_path: Path, settings: Any):
    fire("alpha", 1)
    seal()
    with pytest.raises(CommandError, match="cannot be written: No such file"):
        explained(tmp_path / "no" / "such")
    settings.RQCRON_SEAL_KEY = ""
    with pytest.raises(CommandError, match="RQCRON_SEAL_KEY is not set"):
        explained(tmp_path / "a")
