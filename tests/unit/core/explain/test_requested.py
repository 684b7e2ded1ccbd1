"""The story of a run that somebody asked for."""

from __future__ import annotations

from uuid import UUID

from rqcron_events.core.events import make
from rqcron_events.core.explain.explanation import Verdict
from rqcron_events.core.explain.requested import explain_requested
from tests.unit.core.explain.test_evidence import history
from tests.unit.history import at

RUN = UUID("0ec91153-6c4e-50ae-adf0-995866017f31")


def test_a_request_is_told_with_who_why_and_what_became_of_it() -> None:
    asked = make.run_requested(
        cron="alpha",
        version=3,
        actor="ann",
        at=at("09:02"),
        run_id=RUN,
        slot=None,
        trigger="manual",
        reason="a test",
    )
    answer = explain_requested(RUN, [asked], history().state)
    assert (answer.verdict, answer.cron, answer.definition_version) == (Verdict.FIRED, "alpha", 1)
    assert "ann (a test)" in answer.summary
    assert [step.name for step in answer.steps] == ["requested"]
