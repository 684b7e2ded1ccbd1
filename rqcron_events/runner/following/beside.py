"""Who calls the followers beside a runner."""

from __future__ import annotations

from typing import Protocol

from django.conf import settings

from ...followers import followers
from ...ledger import store
from ...ledger.backend import backend_of
from .child import FollowerChild
from .thread import FollowerThread

__all__ = ["Beside", "NobodyFollows", "beside_the_runner"]


class Beside(Protocol):
    """Works while its runner leads."""

    def start(self) -> None:
        """Begin; until ``go_on`` nothing is followed."""

    def go_on(self, *, leading: bool, behind: bool) -> None:
        """To be called after each tick. Returns at once."""

    def request_stop(self) -> None:
        """Ask it to end. Returns at once."""

    def join(self) -> None:
        """Wait for the end, a few seconds at most."""


class NobodyFollows:
    """Where no app has registered a follower, there is neither process nor thread."""

    def start(self) -> None: ...

    def go_on(self, *, leading: bool, behind: bool) -> None: ...

    def request_stop(self) -> None: ...

    def join(self) -> None: ...


def beside_the_runner() -> Beside:
    """A process, because followers cost more than deciding and would share the interpreter with it.

    On SQLite a thread: all writers wait for each other there, so a second process would only cost memory.
    The same where settings come from no module, because another process cannot load them.
    """
    if not followers:
        return NobodyFollows()
    can_be_apart = backend_of(store.connection()).MANY_WRITERS and settings.SETTINGS_MODULE
    return FollowerChild() if can_be_apart else FollowerThread()
