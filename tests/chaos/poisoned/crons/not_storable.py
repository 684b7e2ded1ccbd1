from __future__ import annotations

from datetime import timedelta

from rqcron_events import register_cron


@register_cron(every=timedelta(seconds=1), meta={"share": float("nan")})
def not_a_number() -> None: ...


@register_cron(every=timedelta(seconds=1), description="lone \ud800 surrogate")
def surrogate() -> None: ...
