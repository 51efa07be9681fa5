"""Become a command that ends with its parent, even if the parent is killed with `kill -9`.

    python child.py PARENT_PID USER COMMAND…          (USER is "-" for: stay who you are)

Started by `tools.system.process`, and replaced by the command at once: the process id stays.
The kernel's promise (PR_SET_PDEATHSIG) exists on Linux only; elsewhere, children of a runner that
was killed outright have to be stopped by hand.
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
        # After the change of user, which would clear it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("the parent ended before its child began")
    os.execvp(command[0], command)  # noqa: S606 - a list of arguments, no shell


def become(user: str) -> None:
    """Drop the rights of root for those of `user`."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
