"""Closing what a crash left open: open runs are compared with RQ, and the log is completed.

Every repair is an event that says what was found (``data["found"]``). Nothing that ran is run
again unasked; only ``idempotent=True`` allows that.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from uuid import UUID

from redis.exceptions import RedisError

from .. import clock
from ..core.cron_state import OpenRun
from ..core.definition import Definition
from ..core.events import OUTCOMES, Event
from ..core.repair import JobFacts, Patience, Repair, judge
from ..core.run_state import RunState
from ..errors import VersionConflict
from ..execution.enqueuer import Enqueued, Enqueuer, RunRequest
from ..execution.rq_jobs import JOBS_PER_ROUND_TRIP, bring_back_due, clean_up_abandoned, look_up_at
from ..execution.unreadable_jobs import note, text_of
from ..execution.waiting_jobs.seen_jobs import SeenJobs
from ..execution.waiting_jobs.stranded import JOBS_PER_PIECE, put_back, stranded
from ..leadership.clock_skew import ClockSkew
from ..ledger import store
from ..ledger.cron_states import States
from ..ledger.run_streams import read_runs
from ..process.failpoints import reach
from .found import Finding, end_event, never_begun, not_at_work, one_in_each_queue, rerun_event

__all__ = ["Reconciler"]

log = logging.getLogger(__name__)

RUNS_PER_STEP_MAX = JOBS_PER_ROUND_TRIP
"""One step of a pass looks at this many runs, so that it delays no slot."""


class Reconciler:
    """Walks over the open runs in bounded steps. Belongs to a leading runner, or to a command."""

    def __init__(self, enqueuer: Enqueuer, actor: str) -> None:
        self._enqueuer = enqueuer
        self._actor = actor
        self._patience = Patience()
        self._skew = ClockSkew()
        self.seen = SeenJobs()
        self._waiting: list[tuple[str, UUID]] = []
        self._stranded: set[UUID] = set()
        """Runs whose jobs were in no list at the last clean-up."""
        self.away: dict[str, str] = {}
        """Redis servers that did not answer in this pass, or took nothing, and what they said; they
        are not asked again in it."""
        self._unreadable: dict[str, list[str]] = {}
        """By Redis, what is said of jobs in it that cannot be read."""
        self.only: frozenset[str] | None = None
        """The Redis servers whose runs this one is for; None: all of them."""
        self.findings: list[Finding] = []
        """Of this pass: what was repaired, or would be."""

    def begin(
        self, states: States, *, dry_run: bool = False, away: Mapping[str, str] | None = None
    ) -> None:
        """Start a new pass, unless the last one is not through yet; ``away`` are known already."""
        if self._waiting:
            return
        self.away, self._unreadable, self.findings = dict(away or {}), {}, []
        if not dry_run:
            self._bring_back_due(states)
        self._waiting = [
            (name, run_id)
            for name, state in states.crons.items()
            for run_id in state.open_runs
            if not states.run_is_set_aside(run_id)  # it may have an end that cannot be read
        ]
        self.seen.begin((run_id for _, run_id in self._waiting), marks=not dry_run)

    def give_up(self) -> None:
        """Drop the rest of the pass; the next one looks at everything again."""
        self._waiting.clear()

    @property
    def done(self) -> bool:
        return not self._waiting

    def step(self, states: States, *, dry_run: bool = False) -> list[Finding]:
        """Look at the next runs and repair what needs it. A Redis that is away concerns the runs in
        it only."""
        chunk = self._waiting[:RUNS_PER_STEP_MAX]
        looked_at: list[tuple[OpenRun, Definition]] = []
        for name, run_id in chunk:
            state = states.crons.get(name)
            definition = state.last_definition if state else None
            run = state.open_runs.get(run_id) if state else None  # it may have ended meanwhile
            if run is not None and definition is not None:
                looked_at.append((run, definition))
        findings = self._judge(looked_at)
        if findings and not dry_run:
            reach("before_repair")
            findings = self._repair_all(findings, states)
            reach("after_repair")
        self.findings += findings
        del self._waiting[: len(chunk)]
        if not self._waiting and not dry_run:
            self._tell_unreadable()
        return findings

    def _judge(self, runs: list[tuple[OpenRun, Definition]]) -> list[Finding]:
        """Those that need a repair, by what RQ says now."""
        jobs = self._look_up(runs)
        now = self._skew.database_now()
        return [
            Finding(run, definition, jobs[run.run_id], repair)
            for run, definition in runs
            if run.run_id in jobs
            and (repair := judge(run, definition, jobs[run.run_id], now, self._patience))
            is not Repair.NONE
        ]

    def _look_up(self, runs: list[tuple[OpenRun, Definition]]) -> dict[UUID, JobFacts]:
        """Of the runs on Redis servers that answer.

        In a queue that cannot be used a run that was never in RQ has no job. One that was may have it
        in a Redis that another queue names; otherwise nobody knows, and it is left alone.
        """
        found: dict[UUID, JobFacts] = {
            run.run_id: JobFacts()
            for run, definition in runs
            if run.enqueued_at is None
            and run.attempt == 0
            and not self._enqueuer.redis_of(definition.queue)
        }
        for group in self._answering([RunRequest.of(run, definition) for run, definition in runs]):
            with self._noting_away(group):
                facts = self.seen.look_up(self._enqueuer, group)
                found |= facts
                self._note_unreadable(group, facts)
        gone = [
            RunRequest.of(run, definition)
            for run, definition in runs
            if run.run_id not in found and not self._enqueuer.redis_of(definition.queue)
        ]
        return found | self._look_up_anywhere(gone)

    def _look_up_anywhere(self, requests: list[RunRequest]) -> dict[UUID, JobFacts]:
        """Those of which any Redis has the job, whatever its queue."""
        found: dict[UUID, JobFacts] = {}
        for redis, connection in self._enqueuer.servers().items() if requests else ():
            if redis in self.away:
                continue
            try:
                facts = look_up_at(connection, requests)
            except RedisError as error:
                self.away[redis] = str(error)
                continue
            found |= {run: job for run, job in facts.items() if job.status or job.unreadable}
            self._note_unreadable(requests, facts, redis)
        for request in requests:
            if request.run_id not in found:
                _say_out_of_reach(request.definition.queue)
        return found

    def _note_unreadable(
        self, requests: list[RunRequest], facts: dict[UUID, JobFacts], redis: str = ""
    ) -> None:
        texts = self._unreadable.setdefault(
            redis or self._enqueuer.redis_of(requests[0].definition.queue), []
        )
        for request in requests:
            if why := facts[request.run_id].unreadable:
                texts.append(text_of(request.cron, request.run_id, why))

    def _tell_unreadable(self) -> None:
        """At the end of a pass, for health, which is another process: in each Redis that is ours what
        concerns it, and in the first of them what was found in those of others."""
        servers = self._enqueuer.servers()
        ours = [redis for redis in servers if self.only is None or redis in self.only]
        elsewhere = [
            text for key in self._unreadable.keys() - ours for text in self._unreadable[key]
        ]
        for redis in ours:
            texts = self._unreadable.get(redis, []) + elsewhere
            elsewhere = []
            if redis not in self.away:
                try:
                    note(servers[redis], texts)
                except RedisError as error:
                    self.away[redis] = str(error)

    def _answering(self, requests: list[RunRequest]) -> Iterator[list[RunRequest]]:
        """The requests of each Redis that has not failed to answer in this pass."""
        for redis, group in self._enqueuer.by_redis(requests).items():
            if redis not in self.away:
                yield group

    @contextmanager
    def _noting_away(self, group: list[RunRequest]) -> Iterator[None]:
        """What one Redis does not do must not stop what others do."""
        try:
            yield
        except RedisError as error:
            self.away[self._enqueuer.redis_of(group[0].definition.queue)] = str(error)

    def clean_up(self, states: States) -> None:
        """Let RQ give up jobs whose worker is gone, on the queues that open runs are in, and put
        back what workers took and did not begin."""
        for _ in self.clean_up_in_pieces(states):
            pass

    def clean_up_in_pieces(self, states: States) -> Iterator[None]:
        """The same, for who has other things to do in between: many jobs may wait."""
        for group in self._answering(one_in_each_queue(states.crons.values())):
            with self._noting_away(group):
                clean_up_abandoned(self._enqueuer.queue(r.definition.queue) for r in group)
        yield
        yield from self._put_back_stranded(states)

    def _bring_back_due(self, states: States) -> None:
        """Jobs that waited long enough go back into their queues, also where RQ's scheduler, whose
        work it is, does not run."""
        for group in self._answering(one_in_each_queue(states.crons.values())):
            with self._noting_away(group):
                bring_back_due(self._enqueuer.queue(r.definition.queue) for r in group)

    def _put_back_stranded(self, states: States) -> Iterator[None]:
        """Jobs that a worker took and did not begin go back into their queues.

        Seen so twice, a clean-up apart: a worker is in between for some milliseconds each time.
        """
        quiet: list[RunRequest] = []
        for piece in self._quiet(states):
            quiet += piece
            yield
        once: set[UUID] = set()
        for group in self._answering(quiet):
            with self._noting_away(group):
                for here in stranded(self._enqueuer, group):
                    again = not_at_work([r for r in here if r.run_id in self._stranded])
                    self._put_back(again, states)
                    once |= {r.run_id for r in here} - {r.run_id for r in again}
                    yield
        self._stranded = once

    def _put_back(self, requests: list[RunRequest], states: States) -> None:
        if not requests:
            return
        put_back(self._enqueuer, requests)
        self._stranded -= {request.run_id for request in requests}
        now = clock.now()
        results = [Enqueued(request=request, at=now) for request in requests]
        self._append_enqueued(results, states, "taken by a worker, not begun")
        log.warning(
            "%d job%s had been taken by a worker and not begun; back in the queue.",
            len(requests),
            "s" * (len(requests) != 1),
            extra={"action": "jobs_put_back", "runs": len(requests)},
        )

    def _quiet(self, states: States) -> Iterator[list[RunRequest]]:
        """Runs that have not begun, and of which nothing was heard for long; in pieces."""
        now = self._skew.database_now()
        since = now - self._patience.taken
        names = [(name, run) for name, state in states.crons.items() for run in state.open_runs]
        for start in range(0, len(names), JOBS_PER_PIECE):
            yield [
                RunRequest.of(run, state.last_definition)
                for name, run_id in names[start : start + JOBS_PER_PIECE]
                if (state := states.crons.get(name)) and state.last_definition is not None
                if (run := state.open_runs.get(run_id))  # it may have ended meanwhile
                and (run.enqueued_at or run.attempt)  # a start may be all that is recorded
                and not run.started_at
                and (run.heard_at(now) or run.last_event_at or since) <= since
                if not states.run_is_set_aside(run_id)
            ]

    def _repair_all(self, findings: list[Finding], states: States) -> list[Finding]:
        """Returns those that were repaired."""
        findings = self._as_logged(findings, states)
        missing = [f for f in findings if f.repair is Repair.ENQUEUE]
        again = never_begun([RunRequest.of(finding.run, finding.definition) for finding in missing])
        open_still: set[UUID] = set()
        for results in self._enqueuer.enqueue(again):
            if results[0].error:
                open_still |= {result.request.run_id for result in results}
            if results[0].is_outage:
                self.away[results[0].redis] = results[0].error
            if results[0].is_refused:
                self._append_refused(results, states)
            elif not results[0].error:  # otherwise the next pass finds these runs again
                self._append_enqueued(results, states, "no job, never started")
        there = [f for f in findings if f.repair is Repair.RECORD_ENQUEUED]
        # What was handed over beside this pass may have been recorded after it began.
        unrecorded = never_begun(
            [RunRequest.of(f.run, f.definition) for f in there], not_enqueued=True
        )
        now = clock.now()
        results = [Enqueued(request=request, at=now) for request in unrecorded]
        self._append_enqueued(results, states, "the job existed already")
        ends = [f for f in findings if f.repair not in (Repair.ENQUEUE, Repair.RECORD_ENQUEUED)]
        self._append_ends(ends, states)
        done = {request.run_id for request in (*again, *unrecorded)} - open_still
        findings = ends + [f for f in (*missing, *there) if f.run.run_id in done]
        for repair, count in Counter(finding.repair.value for finding in findings).items():
            log.warning(
                "Reconciled %d open run%s: %s.",
                count,
                "s" * (count != 1),
                repair.replace("_", " "),
                extra={"action": "reconciled", "repair": repair, "runs": count},
            )
        return findings

    def _as_logged(self, findings: list[Finding], states: States) -> list[Finding]:
        """Where a run's stream says otherwise than what is remembered of it, the stream is believed,
        and the run judged anew. This runner may have been frozen since it looked, or the start was
        recorded before the request that it goes back to, which had been lost with the log."""
        known = read_runs([finding.run.run_id for finding in findings])
        stale = [f for f in findings if _is_stale(f.run, known.get(f.run.run_id))]
        for finding in stale:
            states.apply(store.read_stream(known[finding.run.run_id].stream))
        open_runs = [
            (run, finding.definition)
            for finding in stale
            if (run := states.crons[finding.definition.name].open_runs.get(finding.run.run_id))
        ]
        gone = {finding.run.run_id for finding in stale}
        return [f for f in findings if f.run.run_id not in gone] + self._judge(open_runs)

    def _append_refused(self, results: list[Enqueued], states: States) -> None:
        """Once per run and cause: it is tried again in each pass, and that is no news."""
        news = [result for result in results if result.cause != _known_cause(result, states)]
        events = [result.event(self._actor) for result in news]
        store.append_next(events)
        states.apply(events)

    def _append_enqueued(self, results: list[Enqueued], states: States, found: str) -> None:
        events = [result.event(self._actor, found=found) for result in results]
        store.append_next(events)
        states.apply(events)

    def _append_ends(self, findings: list[Finding], states: States) -> None:
        """Close runs in bulk. Where a worker is first, the next pass looks again."""
        known = read_runs([finding.run.run_id for finding in findings])
        batches: list[list[Event]] = []
        for finding in findings:
            state = known.get(finding.run.run_id)
            if state is None:
                continue  # an event of it cannot be read
            event = end_event(finding, state, self._actor)
            if state.outcome is not None or (event.type not in OUTCOMES and not state.running):
                continue
            if state.attempt != finding.run.attempt:
                continue  # this runner was frozen since it looked: another attempt began
            if finding.repair is Repair.LOSE and finding.definition.idempotent:
                self._lose_and_request_again(finding, event, states)
            else:
                batches.append([event])
        for batch in store.append_batches(batches, durable=False).accepted:
            states.apply(batch)

    def _lose_and_request_again(self, finding: Finding, lost: Event, states: States) -> None:
        """A lost run of an idempotent cron: a new run, for the same slot, in one transaction."""
        name = finding.definition.name
        again = rerun_event(finding, states.crons[name].version + 1, self._actor)
        try:
            store.append([lost, again])
        except VersionConflict:
            states.reload(name)  # the next pass tries again
        else:
            states.apply([lost, again])


@lru_cache(maxsize=1_000)
def _say_out_of_reach(queue: str) -> None:
    """Once for each."""
    log.error(
        "Queue %s cannot be used, and RQ's record of runs in it is in no Redis that another queue "
        "names: they are left alone. Put it back into RQ_QUEUES until they have ended.",
        queue,
        extra={"action": "job_out_of_reach", "queue": queue},
    )


def _is_stale(run: OpenRun, logged: RunState | None) -> bool:
    return logged is not None and (logged.attempt, logged.outcome) != (run.attempt, None)


def _known_cause(result: Enqueued, states: States) -> str:
    run = states.crons[result.request.cron].open_runs.get(result.request.run_id)
    return run.refused if run else ""
