"""Who is alive: one byte of the lock file for each connection, locked as long as its process lives.

The kernel drops a record lock when its process ends, however it ends, so a dead holder is known
at once and there is no lease to tune or to renew. Two rules of POSIX record locks shape this
module: closing *any* descriptor of a file drops all of the process's locks on it, so the file is
opened once a process; and a process never conflicts with itself, so its own bytes are remembered.
"""

from __future__ import annotations

import fcntl
import os
import threading


class LockFile:
    """The one open lock file of a broker in this process. Use `LockFile.of`."""

    _open: dict[str, LockFile] = {}  # noqa: RUF012  (the register of this process)
    _guard = threading.Lock()

    def __init__(self, path: str) -> None:
        self._path = path
        self._mine: set[int] = set()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.identity = os.fstat(self._fd).st_ino

    @classmethod
    def of(cls, path: str) -> LockFile:
        """The lock file at `path`, opened if this process does not hold it yet."""
        with cls._guard:
            found = cls._open.get(path)
            if found is None:
                found = cls._open[path] = cls(path)
            return found

    def enter(self, holder: int) -> None:
        """Lock the byte `holder`: from now on others see it alive. BlockingIOError if it is taken."""
        with self._guard:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, holder)
            self._mine.add(holder)

    def leave(self, holder: int) -> None:
        """Unlock the byte `holder`; the descriptor stays, for the next connection."""
        with self._guard:
            if holder in self._mine:
                self._mine.remove(holder)
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, holder)

    def is_dead(self, holder: int) -> bool:
        """Whether the process of `holder` has ended (or has let go)."""
        with self._guard:
            if holder in self._mine:
                return False
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, holder)
            except OSError:  # EACCES or EAGAIN: somebody holds it
                return False
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, holder)
            return True

    @classmethod
    def forget_after_fork(cls) -> None:
        """A child holds none of its parent's locks: it starts with an empty register.

        Closing the inherited descriptors is safe here and only here, as the child has no locks yet.
        """
        inherited, cls._open, cls._guard = cls._open, {}, threading.Lock()
        for lock_file in inherited.values():
            os.close(lock_file._fd)


os.register_at_fork(after_in_child=LockFile.forget_after_fork)
