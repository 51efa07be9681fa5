"""Become a command that ends with its parent, even if the parent is killed with `kill -9`.

    python child.py PARENT_PID USER COMMAND…          (USER "-" means the current user)

Started by `tools.system.process`; execs the command, so the process id stays the same.
PR_SET_PDEATHSIG exists on Linux only; elsewhere, stop the children of a killed runner by hand.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, user, *command = sys.argv[1:]
    if user != "-":
        become(user)
    if sys.platform == "linux":
        # After changing the user, which would clear it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the parent ended before its child started")
    os.execvp(command[0], command)  # noqa: S606 - a list of arguments, no shell


def become(user: str) -> None:
    """Drop root privileges and become `user`."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
