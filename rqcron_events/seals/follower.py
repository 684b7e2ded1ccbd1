"""Sealing beside the runner that leads, as one of the log's followers."""

from __future__ import annotations

import logging

from .. import clock
from ..conf import conf
from ..errors import SealBroken
from .courier import wake
from .keys import signer
from .progress import SEALING, failed, progress, succeeded
from .sealer import PAGE_EVENTS, seal_next

__all__ = ["seal_when_due"]

log = logging.getLogger(__name__)

_next_at = float("-inf")
"""Monotonic seconds; of this process."""


def seal_when_due() -> int:
    """Seal what is new every RQCRON_SEAL_SECONDS, a part of it at once; how many events. Has
    receivers told in threads of their own, those that did not take the last one included.
    """
    global _next_at
    key, seconds = signer(), conf().seal_seconds
    now = clock.monotonic_seconds()
    if key is None or not seconds or now < _next_at:
        return 0
    try:
        step = seal_next(key)
    except SealBroken as error:
        _next_at = now + seconds
        if failed(SEALING, str(error)):
            log.error("%s", error, extra={"action": "seal_refused"})
        wake()
        return 0
    if step is not None:
        succeeded(SEALING, step.size)
        log.debug("%d events are sealed.", step.size, extra={"action": "sealed"})
        if step.events >= PAGE_EVENTS:  # there is more
            return step.events
    else:
        _recovered()
    _next_at = now + seconds
    wake()
    return 0


def _recovered() -> None:
    before = progress(SEALING)
    if before is not None and before.failing_since is not None:
        succeeded(SEALING, before.size)
