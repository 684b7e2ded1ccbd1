"""What differs between databases. ``postgresql.log`` and ``sqlite.log`` are modules of this shape.

Nobody outside of this package asks which database it is. Another database is one more such package
(with its tables, see ``table_backend``), a line in ``BACKENDS``, and the conformance suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.clean_run.run import CleanRun
from ..core.codec import CronRow, Row
from ..core.events import Event
from ..core.words.apart import Text
from ..errors import CronConfigError
from .doors.problem import Problem
from .doors.refusal import Refusal
from .postgresql import log as postgresql
from .sqlite import log as sqlite
from .table_backend import TableBackend

__all__ = ["BACKENDS", "Backend", "backend_of"]


class Backend(Protocol):
    """Everything takes the connection to use. Database errors are Django's."""

    @property
    def COMMITS_OUT_OF_ORDER(self) -> bool:  # noqa: N802 - a constant of the module
        """A higher id can become visible before a lower one: readers need ``safe_position``."""

    @property
    def MANY_WRITERS(self) -> bool:  # noqa: N802 - a constant of the module
        """Several sessions write at the same time, so work beside a runner is worth a process."""

    @property
    def GROUP_BY_RUN(self) -> str:  # noqa: N802 - a constant of the module
        """How a statement over ``rqcron_event`` groups by run without following the index of runs."""

    @property
    def tables(self) -> TableBackend:
        """Rows in tables of other models than the log's."""

    @property
    def TRIGGERS(self) -> Sequence[str]:  # noqa: N802 - a constant of the module
        """Names of the triggers that keep the log append-only, and of the fence where there is one."""

    @property
    def IDS_BEHIND(self) -> str:  # noqa: N802 - a constant of the module
        """The remedy for ids that are handed out twice."""

    def insert(
        self, db: BaseDatabaseWrapper, events: Sequence[Event], needed: Mapping[str, int], /
    ) -> int:
        """Write all events; returns how many rows the database says it stored.

        ``needed``: by stream, a version that must be in the log already. Raises PredecessorMissing
        when one is not; the transaction has to be rolled back then.
        """

    def refusal(self, error: DatabaseError, /) -> Refusal | None:
        """Why an insert failed, when that says something about the events or the ids."""

    def insert_free(self, db: BaseDatabaseWrapper, events: Sequence[Event], /) -> set[str]:
        """Write the events whose version is free and whose predecessor is there, one per stream;
        return the streams written."""

    def insert_texts(self, db: BaseDatabaseWrapper, texts: Sequence[Text], /) -> None:
        """Write texts of events that the same transaction has just written."""

    def insert_first_start(self, db: BaseDatabaseWrapper, event: Event, /) -> int | None:
        """Write a run's start as the next of its stream, in one statement, if that holds nothing but
        ``run_enqueued`` of the same cron and slot, or nothing; return its version."""

    def read(
        self, db: BaseDatabaseWrapper, after: int, until: int | None, limit: int, /
    ) -> list[Row]:
        """Stored events with ``after < id <= until`` in the order of their ids."""

    def read_stream(
        self, db: BaseDatabaseWrapper, stream: str, after: int, limit: int, /
    ) -> list[Row]:
        """Stored events of one stream with ``version > after``, in the order of their versions."""

    def read_ids(self, db: BaseDatabaseWrapper, ids: Sequence[int], /) -> list[Row]:
        """The stored events of these ids, in the order of their ids."""

    def read_clean_runs(
        self, db: BaseDatabaseWrapper, after: int, until: int, ahead: int, /
    ) -> list[CleanRun]:
        """Runs without incident that begin in ``after < id <= until`` and are over by ``ahead``."""

    def read_others(
        self, db: BaseDatabaseWrapper, after: int, until: int, clean: Mapping[UUID, int], /
    ) -> list[Row]:
        """Stored events with ``after < id <= until`` but those of these runs up to these ids,
        without their tracebacks."""

    def read_cron(
        self, db: BaseDatabaseWrapper, stream: str, after: int, until: int, limit: int, /
    ) -> list[CronRow]:
        """A part of a cron's own stream (versions), as little of it as an audit needs."""

    def with_archived(
        self, db: BaseDatabaseWrapper, pages: Iterable[Sequence[Row]], /
    ) -> AbstractContextManager[object]:
        """A block in which this thread reads the log with these archived rows in it, which it does not
        have, and cannot write there."""

    def second_connection(
        self, db: BaseDatabaseWrapper, /
    ) -> AbstractContextManager[BaseDatabaseWrapper | None]:
        """For reading in another thread; None where there is none to be had."""

    def in_one_session(self, db: BaseDatabaseWrapper, /) -> AbstractContextManager[object]:
        """A block whose statements all meet the same session of the database, whatever stands in
        between, and each what is committed by then: temporary tables stay within reach. What else
        it writes is there at its end."""

    def leave_pool(self, db: BaseDatabaseWrapper, /) -> None:
        """Give this thread, which works for long, a connection that is in no pool of Django's."""

    def is_pooled(self, db: BaseDatabaseWrapper, /) -> bool:
        """Whether a pooler such as PgBouncer can be seen before the database. Some cannot: what is
        right must not rest on it."""

    def new_session(self, db: BaseDatabaseWrapper, /) -> None:
        """Leave this thread's session, with all that was set in it, for a new one. Outside of a
        transaction; ``db`` may not be the connection to use any more."""

    def interrupt(self, db: BaseDatabaseWrapper, /) -> None:
        """End the statement that another thread is running on this connection, with an error
        there. Returns within seconds, and may raise anything when there is none."""

    def hang_up(self, db: BaseDatabaseWrapper, /) -> None:
        """The same where that was of no use, as with a server that is frozen: the connection is lost."""

    def connect_within(self, db: BaseDatabaseWrapper, seconds: int, /) -> None:
        """Bound how long this thread's next connection may take to be there. Outside of a
        transaction; ``db`` is closed."""

    def clock_seconds(self, db: BaseDatabaseWrapper, /) -> float:
        """The database's clock at this moment, as seconds since the Unix epoch."""

    def place(self, db: BaseDatabaseWrapper, /) -> str:
        """Where the database is, for people; without user or password."""

    def safe_position(self, db: BaseDatabaseWrapper, wait_seconds: float, /) -> int | None:
        """The highest id below which no event can still appear; None when a writer stays longer
        than ``wait_seconds``."""

    def not_waiting(
        self,
        db: BaseDatabaseWrapper,
        seconds: float,
        statement_seconds: float | None = None,
        /,
    ) -> AbstractContextManager[object]:
        """A block whose statements fail (see ``was_locked``) instead of waiting longer than this
        for a lock that another session holds, or of taking longer than ``statement_seconds``. A
        transaction where the database needs one for it."""

    def bounded_session(
        self, db: BaseDatabaseWrapper, seconds: float, /
    ) -> AbstractContextManager[object]:
        """A block in which this thread has another session, where one is needed so that it ends: it
        connects within seconds, and is cut off after so many, with an OperationalError."""

    def was_locked(self, error: DatabaseError, /) -> bool:
        """Whether a statement failed because somebody else holds a lock for too long."""

    def log_bytes(self, db: BaseDatabaseWrapper, /) -> int:
        """How much room the log takes, indexes and texts included; on SQLite, the whole file."""

    def insert_archived(self, db: BaseDatabaseWrapper, rows: Sequence[Row], after: int, /) -> bool:
        """Write rows with the ids and times that they had, behind the event ``after``; False where that is not
        the newest one. Only for a log that is restored. Inside of a transaction that has written before."""

    def event_bytes(self, db: BaseDatabaseWrapper, /) -> float | None:
        """How much room one event takes at present, with its part of the indexes; None: there is none."""

    def disk_free_bytes(self, db: BaseDatabaseWrapper, /) -> int | None:
        """Of the disk that the log is on; None where that is not known, as of another machine."""

    def install_triggers(self, db: BaseDatabaseWrapper, /) -> None: ...

    def remove_triggers(self, db: BaseDatabaseWrapper, /) -> None: ...

    def lift_for_migrations(self, db: BaseDatabaseWrapper, /) -> None:
        """Remove triggers that would stop a migration which alters the log's table, until
        ``install_triggers``."""

    def missing_triggers(self, db: BaseDatabaseWrapper, /) -> list[str]:
        """Those of ``TRIGGERS`` that are absent or do not always fire."""

    def install_checks(self, db: BaseDatabaseWrapper, /) -> None:
        """Have the table refuse what no release writes (``door``); adds what is missing."""

    def remove_checks(self, db: BaseDatabaseWrapper, /) -> None: ...

    def problems(self, db: BaseDatabaseWrapper, /) -> list[Problem]:
        """What is not as the migrations made it."""

    def set_append_only(self, db: BaseDatabaseWrapper, enabled: bool, /) -> None:
        """Only for tests: let Django's flush through, or stop it again."""


BACKENDS: dict[str, Backend] = {"postgresql": postgresql, "sqlite": sqlite}
"""By Django's name of the vendor."""


def backend_of(db: BaseDatabaseWrapper) -> Backend:
    """What is special about this database. Raises CronConfigError for one that has no module."""
    try:
        return BACKENDS[db.vendor]
    except KeyError:
        raise CronConfigError(
            f"The ledger cannot live in a {db.vendor} database. Point RQCRON_DATABASE to "
            "PostgreSQL or SQLite."
        ) from None
