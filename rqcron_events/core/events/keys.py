"""The keys of ``Event.data``, by name. ``docs/events.md`` says which event has which.

Times are ISO 8601 strings in UTC. They are wire names: the log holds them for ever.
"""

from __future__ import annotations

from typing import Final

# Definitions

DEFINITION: Final = "definition"
"""object: the whole definition, as ``Definition.to_data`` gives it."""
DEFINITION_VERSION: Final = "definition_version"
"""int: which definition of the cron, from 1."""
EFFECTIVE_FROM: Final = "effective_from"
"""time: the change holds for slots later than this."""
CHANGES: Final = "changes"
"""object: ``{field: [old, new]}`` of each field that differs."""
UNTIL: Final = "until"
"""time or null: when the pause ends by itself."""

WATERMARK: Final = "watermark"
"""time: up to where the cron's slots had been decided."""
KEPT: Final = "kept"
"""array: ``[first, last]`` of stretches of slots that fired ahead of their time, and are not decided
again."""

# Decisions

LATENESS_SECONDS: Final = "lateness_seconds"
"""float, seconds: from when the slot was due, jitter included, to the decision."""
JITTER_SECONDS: Final = "jitter_seconds"
"""float, seconds: how long after the slot it was due."""
FIRST: Final = "first"
"""time: the first slot that the decision covers."""
LAST: Final = "last"
"""time: the last slot that it covers, which is ``scheduled_for``, too."""
COUNT: Final = "count"
"""int: how many slots it covers."""
EVIDENCE: Final = "evidence"
"""object: what the decision rests on; its keys depend on the reason."""
HELD_UP: Final = "held_up"
"""object: why the slot could not be decided at once, although a runner was alive."""

# Requests

TRIGGER: Final = "trigger"
"""str: manual, rerun, backfill, requeue or recovered."""
OF: Final = "of"
"""run id: the earlier run that this one repeats."""
LABEL: Final = "label"
"""str: the name that tells one backfill of a slot from another."""

NOT_BEFORE: Final = "not_before"
"""time: when the run is to begin."""
ARGS: Final = "args"
"""array: positional arguments of this run, in place of the cron's own."""
KWARGS: Final = "kwargs"
"""object: keyword arguments of this run, in place of the cron's own."""

# After the log went back

RECOVERED: Final = "recovered"
"""object: the decision or request was lost with the log, and this is what told of it."""
RECOVERED_FROM: Final = "from"
"""list of str: ``redis`` (the job), ``runner`` (its memory), ``log`` (events of the run)."""
RECOVERED_STATUS: Final = "status"
"""str: of the job, by RQ."""
RECOVERED_WORKER: Final = "worker"
"""str: RQ's name of the worker that has or had the job."""
RECOVERED_CREATED_AT: Final = "created_at"
"""time: when the job was made, which was right after the decision."""
RECOVERED_STARTED_AT: Final = "started_at"
"""time."""
RECOVERED_ENDED_AT: Final = "ended_at"
"""time."""
RECOVERED_OUTCOME: Final = "outcome"
"""str: type of the outcome that the log had already: the run is not open."""
EPOCH: Final = "epoch"
"""int: how often the log has gone back, this time included."""
LOST_SINCE: Final = "since"
"""time or null: of the last event before the loss that is still there; null when none is."""
LOST_UNTIL: Final = "until"
"""time: when the loss was noticed; what was recorded between the two may be lost."""
LOST_STREAMS: Final = "streams"
"""object: ``{stream: [last version that was known, last version now]}``, of crons, bounded."""

# Runs

QUEUE: Final = "queue"
"""str: the queue's name in RQ_QUEUES."""
JOB_ID: Final = "job_id"
"""str: RQ's id of the job."""
RETRIES_LEFT: Final = "retries_left"
"""int: how many tries may follow, by RQ's count."""
JOB_CREATED_AT: Final = "job_created_at"
"""time: when RQ created the job; a job created anew has another."""
JOB_ENQUEUED_AT: Final = "job_enqueued_at"
"""time, or empty when RQ does not say: when the job entered its queue; a retry has another."""
DURATION_SECONDS: Final = "duration_seconds"
"""float, seconds: how long the attempt ran."""
RESULT: Final = "result"
"""str: the return value as JSON or as its ``repr``, truncated."""
ERROR: Final = "error"
"""object: what was raised."""
WORKER: Final = "worker"
"""str: RQ's name of the worker."""
FOUND: Final = "found"
"""str: what was found, where the event was not written by who did it."""
TEXTS: Final = "texts"
"""object: by field, the SHA-256 of salt and text of each text that stands apart (``rqcron_text``)."""
SPOOLED: Final = "spooled"
"""str: id of the entry in Redis where the event waited for the database."""

# Runners

HOST: Final = "host"
"""str: the machine's name."""
PID: Final = "pid"
"""int: the process's id."""
CRONS: Final = "crons"
"""int: how many crons the runner's code has."""
REGISTRY: Final = "registry"
"""str: fingerprint of the definitions in the runner's code."""
FORMAT: Final = "format"
"""int: the format of the log that the runner's release writes; absent: 1."""
TZDATA: Final = "tzdata"
"""str: version of the time zone data in force, or empty when unknown."""
CRONITER: Final = "croniter"
"""str: version of the package that hashes ``H`` in expressions."""
SCHEDULE_READING: Final = "schedule_reading"
"""int: by which reading of expressions the runner finds slots; absent: 1."""
ONCE: Final = "once"
"""str: the command that did what was due and ended, such as ``cron_run --once``."""
LAST_HEARTBEAT: Final = "last_heartbeat"
"""time: when the lost runner was last heard of, by the database's clock."""

DATABASE_SKEW_SECONDS: Final = "database_skew_seconds"
"""float, seconds: how far the runner's clock was ahead of the database's; below zero: behind."""
SKEW_SECONDS_MAX: Final = "skew_seconds_max"
"""float, seconds: the bound in force (``RQCRON_CLOCK_SKEW_SECONDS_MAX``)."""
SKEWED_SINCE: Final = "since"
"""time: when the runner began to decide nothing, by the database's clock."""

# Projections

PROJECTION: Final = "projection"
"""str: its name."""
PROJECTION_VERSION: Final = "version"
"""int: version of its code."""
EVENTS: Final = "events"
"""int: how many events were folded."""
ROWS: Final = "rows"
"""int: how many rows that gave."""

# Events that cannot be read

EVENT: Final = "event"
"""int: the id of the event that counts as nothing from now on."""
EVENT_STREAM: Final = "stream"
"""str: its stream."""
EVENT_VERSION: Final = "version"
"""int: its place in that stream."""

# Events that are archived

SEGMENT_PATH: Final = "path"
"""str: the file, in its storage."""
SEGMENT_FIRST: Final = "first"
"""int: the number of its first event among all, from 0."""
SEGMENT_SIZE: Final = "size"
"""int: the number after its last event."""
SEGMENT_FIRST_ID: Final = "first_id"
"""int: the id of its first event."""
SEGMENT_LAST_ID: Final = "last_id"
"""int: the id of its last event."""
SEGMENT_SHA256: Final = "sha256"
"""str: of the file, in hexadecimal."""
SEGMENTS: Final = "segments"
"""int: how many."""

# In an error

ERROR_TYPE: Final = "type"
"""str: qualified name of the exception's class, or empty when unknown."""
ERROR_MESSAGE: Final = "message"
"""str: the exception as text, truncated."""
ERROR_TRACEBACK: Final = "traceback"
"""str: its traceback, of which the end is kept."""

ERROR_SHAPE: Final = "shape"
"""str: equal for messages of one kind (a keyed hash), so that failures can be counted without their words."""

# Removed texts

REMOVED: Final = "removed"
"""int: how many texts."""
TEXTS_BEFORE: Final = "before"
"""time: texts of events that occurred before are removed."""
UNTIL_EVENT: Final = "until_event"
"""int: and of none after this event's id."""
RUN_IDS: Final = "run_ids"
"""array of run ids: whose texts, bounded."""
EVENT_IDS: Final = "event_ids"
"""array of int: the events whose texts."""

# In the evidence of reason ``overlap``: the run that was active

EVIDENCE_RUN_ID: Final = "run_id"
"""run id."""
EVIDENCE_SLOT: Final = "slot"
"""time or null: its slot; null when a person asked for it."""
EVIDENCE_STARTED_AT: Final = "started_at"
"""time or null: null when no worker had begun it."""
EVIDENCE_WORKER: Final = "worker"
"""str: the actor who ran it, or empty."""
EVIDENCE_REFUSED_RUNS: Final = "refused_runs"
"""int: how many runs of the cron wait because RQ takes no job for it."""

# In the evidence of reasons ``paused``, ``all_paused`` and ``disabled``

PAUSE_SINCE: Final = "since"
"""time."""
PAUSE_UNTIL: Final = "until"
"""time or null: when it ends by itself."""
PAUSE_REASON: Final = "reason"
"""str: what the person gave as the reason, or what disables the cron."""
PAUSE_ACTOR: Final = "actor"
"""str: who paused, or empty."""
PAUSE_REPLACED: Final = "replaced"
"""object: the pause that this one ended: since, until, reason, actor."""

# In the evidence of reason ``too_late``

EVIDENCE_CATCH_UP: Final = "catch_up"
"""str: the policy, when it is ``none``."""
EVIDENCE_MAX_LATENESS_SECONDS: Final = "max_lateness_seconds"
"""float, seconds: the bound that was passed."""

# In held_up

HELD_UP_SINCE: Final = "since"
"""time or null."""
HELD_UP_UNTIL: Final = "until"
"""time or null."""
HELD_UP_CAUSE: Final = "cause"
"""str: a ``DowntimeCause``."""
HELD_UP_RUNNER: Final = "runner"
"""str: who fell silent, when the cause is a stale lease, or empty."""
