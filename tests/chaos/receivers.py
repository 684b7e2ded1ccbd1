"""``make chaos-receivers MINUTES=3 SEED=...``: receivers of alerts and of traces that are slow, hang, answer 500
or are dead, while workers, runners and what follows the log are killed.

Which alerts have to arrive is computed from the log, with no code of the alerts: each change of each cron,
once and in its order. A message may come twice only where who sends it, or the receiver, was struck just then.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import secrets
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from tests.chaos.drill import _open_runs, _recover
from tests.chaos.evidence import OUTCOMES, Event
from tests.chaos.faults import FAULTS, Fault, Faults, Struck
from tests.chaos.hook import Hook, Taken
from tests.chaos.stage import Stage

__all__ = ["Report", "drill"]

INTERVAL_SECONDS = (0.5, 3.0)
AROUND_SECONDS = 25.0
"""A message that a struck process had begun to send may be written down so much later: longer than all
time-outs of a webhook."""
HASTEN_SECONDS = 2.0
"""Who is away is asked again so soon, where it would be minutes: the more messages are on their way when
something is struck, the more is shown."""
READY_SECONDS_MAX = 60
SETTLE_SECONDS_MAX = 240
LOOK_SECONDS = 0.1
BEGIN = "SELECT name FROM rqcron_checkpoint WHERE name IN ('alerts', 'traces')"
HASTEN = """
    UPDATE rqcron_alert_message SET next_try_at = now(), claimed_until = NULL
    WHERE status = 'waiting' AND (claimed_until IS NULL OR claimed_until < now() + interval '90 seconds')
"""
"""A claim lasts two minutes; who made it half a minute ago and is not done is dead."""
BEHIND = """
    SELECT (SELECT count(*) FROM rqcron_alert_message WHERE status <> 'sent') AS unsent,
        (SELECT min(position) FROM rqcron_checkpoint) AS position
"""


@dataclass(slots=True)
class ReceiverFaults(Faults):
    """Of processes, and of who is told."""

    hook: Hook = field(kw_only=True)
    seconds_max: float = field(kw_only=True)
    """Of one fault of the receiver."""

    def kinds(self) -> dict[str, Callable[[Faults], Struck | None]]:
        return KINDS

    def _until_it_is_over(self, kind: str, undo: Callable[[], None]) -> Struck:
        self._away.add("receiver")
        seconds = self.rng.uniform(min(4, self.seconds_max), self.seconds_max)

        def over() -> None:
            undo()
            self._away.discard("receiver")

        self._undo.append((time.time() + seconds, over))
        return f"receiver {kind}", seconds, ()


def _answers(mode: str) -> Callable[[ReceiverFaults], Struck | None]:
    def strike(faults: ReceiverFaults) -> Struck | None:
        if "receiver" in faults._away:
            return None
        faults.hook.answers(mode)
        return faults._until_it_is_over(mode, lambda: faults.hook.answers("well"))

    return strike


def _dead(faults: ReceiverFaults) -> Struck | None:
    if "receiver" in faults._away:
        return None
    faults.hook.stop()
    return faults._until_it_is_over("dead", faults.hook.start)


OF_PROCESSES = (
    "kill_runner", "kill_horse", "kill_worker", "kill_machine", "freeze_runner", "restart_database",
    "stop_database", "stop_redis",
)  # fmt: skip
KINDS = {
    **{kind: FAULTS[kind] for kind in OF_PROCESSES},
    "kill_followers": Faults.kill_followers,
    "freeze_followers": Faults.freeze_followers,
    "receiver_answers_500": _answers("errors"),
    "receiver_is_slow": _answers("slow"),
    "receiver_hangs": _answers("hangs"),
    "receiver_is_dead": _dead,
}
SENDERS = (
    "kill_runner", "kill_worker", "kill_machine", "kill_followers", "freeze_runner", "freeze_followers",
    "restart_database", "stop_database", "receiver_is_dead",
)  # fmt: skip
"""After which a message may come twice: nobody knew, or could note, that it had arrived."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was told, and what was wrong with it."""

    seed: int
    faults: Counter[str]
    runs: int
    alerts: int
    """Changes that the log has."""
    messages: int
    twice: int
    spans: int
    spans_twice: int
    violations: list[str]
    recovery_seconds: float = 0.0
    """Until each run had its outcome."""
    settle_seconds: float = 0.0
    """After that, until all was told."""

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return "\n".join(
            [
                f"seed {self.seed}: {self.runs} runs, {self.alerts} alerts in {self.messages} messages, of which "
                f"{self.twice} came twice; {self.spans} spans, of which {self.spans_twice} came twice",
                f"  faults {kinds}; {self.recovery_seconds:.0f} s until each run had ended, and "
                f"{self.settle_seconds:.0f} s until all was told",
                *self.violations,
            ]
        )


def drill(seed: int, seconds: float, *, opening: tuple[str, ...] = ()) -> Report:
    """Strike for ``seconds``, let all be well, and compare. ``opening``: what comes first."""
    with Stage() as stage:
        directory = stage.directory / "hook"
        directory.mkdir()
        hook = Hook(directory)
        try:
            stage.environment |= _settings(hook.url)
            stage.add("runner", "cron_run")
            _wait(stage, lambda: len(stage.rows(BEGIN)) == 2, READY_SECONDS_MAX)
            stage.add("worker", "cron_worker", "default", "--name", "{name}")
            failed = "SELECT 1 FROM rqcron_event WHERE type = 'run_failed' LIMIT 1"
            _wait(stage, lambda: stage.rows(failed), READY_SECONDS_MAX)
            faults = ReceiverFaults(
                stage, random.Random(seed), hook=hook, seconds_max=min(seconds / 2, 240)
            )
            _strike(stage, faults, seconds, opening)
            stage.manage("cron_pause", "--all", "--reason", "the drill is over", "--by", "drill")
            began = time.monotonic()
            _recover(stage, hasten=True, jobs={})
            recovered = time.monotonic()
            [newest] = stage.rows("SELECT max(id) AS id FROM rqcron_event")
            _wait(stage, lambda: _settled(stage, newest["id"]), SETTLE_SECONDS_MAX)
            report = _report(stage, seed, faults.done, hook)
            report.recovery_seconds = recovered - began
            report.settle_seconds = time.monotonic() - recovered
            return report
        finally:
            hook.stop()


def _settings(url: str) -> dict[str, str]:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    receiver = {"kind": "webhook", "url": f"{url}/alerts", "secret": secret}
    rules = {"failing": {"runs": 1}, "missed": {"slots": 1}}
    return {
        "TEST_APPS": "tests.chaos.told",
        "TEST_ALERTS": json.dumps({"receivers": {"hook": receiver}, "rules": rules}),
        "TEST_TRACES": json.dumps(True),
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
    }


def _wait(stage: Stage, is_true: Callable[[], object], seconds_max: float) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_true():
        stage.supervise()
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not within {seconds_max} s: {is_true}\n{stage.tail_of_logs(60)}")
        time.sleep(LOOK_SECONDS)


def _strike(stage: Stage, faults: ReceiverFaults, seconds: float, opening: tuple[str, ...]) -> None:
    end = next_fault = next_try = time.monotonic()
    end += seconds
    waiting, kinds = list(opening), sorted(KINDS)
    while (now := time.monotonic()) < end:
        stage.supervise()
        faults.undo_what_is_over()
        if now >= next_fault:
            faults.strike(waiting.pop(0) if waiting else faults.rng.choice(kinds))
            next_fault = now + faults.rng.uniform(*INTERVAL_SECONDS)
        if now >= next_try:
            next_try = now + HASTEN_SECONDS
            with suppress(psycopg.Error):  # the database may be what is struck
                stage.execute(HASTEN)
        time.sleep(LOOK_SECONDS)
    faults.undo_what_is_over(all_of_it=True)


def _settled(stage: Stage, newest: int) -> bool:
    """The pause goes on being written: skipped slots, of which nobody is told."""
    stage.execute(HASTEN)
    [behind] = stage.rows(BEHIND)
    return behind["unsent"] == 0 and behind["position"] >= newest


# What is right


def _report(stage: Stage, seed: int, faults: list[Fault], hook: Hook) -> Report:
    events = stage.rows("SELECT * FROM rqcron_event ORDER BY id")
    wanted, taken, spans = _alerts(events), hook.taken(), hook.spans()
    found = [f"{open_} runs have no outcome"] if (open_ := _open_runs(stage)) else []
    found += [*_lost_or_changed(wanted, taken), *_twice(taken, faults), *_spans_lost(events, spans)]
    violations = [f"  VIOLATION (seed {seed}) {item}" for item in found]
    if found:
        violations += [
            f"  fault {fault.began_at:.3f} to {fault.ended_at:.3f} {fault.kind}" for fault in faults
        ]
        violations += [f"  message {item.at:.3f} {item.id} {item.alerts}" for item in taken]
        violations.append(f"logs: {stage.keep_logs(seed)}")
    return Report(
        seed=seed,
        faults=Counter(fault.kind for fault in faults),
        runs=sum(event["type"] in OUTCOMES for event in events),
        alerts=sum(map(len, wanted.values())),
        messages=len({item.id for item in taken}),
        twice=len(taken) - len({item.id for item in taken}),
        spans=len(set(spans)),
        spans_twice=len(spans) - len(set(spans)),
        violations=violations,
    )


def _alerts(events: list[Event]) -> dict[tuple[str, str], list[str]]:
    """By rule and cron: what has to be told, in order."""
    changes = {
        "run_failed": ("failing", "opened"),
        "run_lost": ("failing", "opened"),
        "run_succeeded": ("failing", "recovered"),
        "slot_missed": ("missed", "opened"),
        "slot_fired": ("missed", "recovered"),
    }
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in events:
        if event["type"] in changes:
            rule, change = changes[event["type"]]
            told = found[rule, event["cron"]]
            if change != (told[-1] if told else "recovered"):
                told.append(change)
    return {key: told for key, told in found.items() if told}


def _lost_or_changed(wanted: dict[tuple[str, str], list[str]], taken: list[Taken]) -> Iterator[str]:
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    seen: dict[str, list[tuple[str, str, str]]] = {}
    for message in taken:
        if seen.setdefault(message.id, message.alerts) is not message.alerts:
            if seen[message.id] != message.alerts:
                yield f"message {message.id} came again as another one"
            continue
        for rule, cron, change in message.alerts:
            told[rule, cron].append(change)
    for key in sorted(wanted.keys() | told.keys()):
        if told[key] != wanted.get(key, []):
            yield f"{key}: the log has {wanted.get(key)}, and told was {told[key]}"


def _twice(taken: list[Taken], faults: list[Fault]) -> Iterator[str]:
    last: dict[str, float] = {}
    for message in taken:
        first = last.get(message.id)
        last[message.id] = message.at
        if first is not None and not any(
            fault.kind in SENDERS and fault.overlaps(first - AROUND_SECONDS, first + 1.0)
            for fault in faults
        ):
            yield f"message {message.id} came twice, and nobody who sends was struck"


def _spans_lost(events: list[Event], spans: list[tuple[str, str, str]]) -> Iterator[str]:
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for trace, _, name in set(spans):
        told[trace][name.partition(" ")[0]] += 1
    for event in events:
        if event["type"] not in OUTCOMES:
            continue
        stream = [other for other in events if other["stream"] == event["stream"]]
        tries = {o["attempt"] for o in stream if o["type"] == "run_started"}
        words = told[event["run_id"].hex]
        if (words["run"], words["fire"] + words["request"]) != (1, 1):
            yield f"run {event['run_id']}: spans {dict(words)}"
        elif words["attempt"] < len(tries):
            yield f"run {event['run_id']}: {len(tries)} attempts, spans {dict(words)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, help="Printed. Default: random.")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    report = drill(seed, options.minutes * 60)
    print(report)
    print("No violation." if not report.violations else "")
    return int(bool(report.violations))


if __name__ == "__main__":
    sys.exit(main())
