"""Which connections are alive: each locks one byte of the lock file as long as its process lives.

The kernel drops a record lock however its process ends, so a dead holder is noticed at once, with
no lease to tune or renew. Two rules of POSIX record locks shape this module: closing *any*
descriptor of a file drops all of the process's locks on it, so each process opens the file once;
and a process never conflicts with itself, so it remembers its own bytes.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import ClassVar


class LockFile:
    """The one open lock file of a broker in this process. Use `LockFile.of`."""

    _opened: ClassVar[dict[str, LockFile]] = {}
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str) -> None:
        self._mine: set[int] = set()
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.identity = os.fstat(self.descriptor).st_ino

    @classmethod
    def of(cls, path: str) -> LockFile:
        """The lock file at `path`, opened once per process.

        If it was deleted and created again, existing connections keep the old one; a new
        connection must lock the one that others see.
        """
        with cls._guard:
            lock = cls._opened.get(path)
            if lock is None or not lock.is_at(path):
                lock = cls._opened[path] = cls(path)
            return lock

    def is_at(self, path: str) -> bool:
        """Whether `path` is still this file."""
        try:
            return os.path.samestat(Path(path).stat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def enter(self, holder: int) -> None:
        """Lock the byte `holder`, to show that it is alive. Raises `BlockingIOError` if taken."""
        with self._guard:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, holder)
            self._mine.add(holder)

    def leave(self, holder: int) -> None:
        """Unlock the byte `holder`; the descriptor stays open for later connections."""
        with self._guard:
            if holder in self._mine:
                self._mine.remove(holder)
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, holder)

    def is_dead(self, holder: int) -> bool:
        """Whether the process of `holder` has ended, or has released it."""
        with self._guard:
            if holder in self._mine:
                return False
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, holder)
            except OSError:  # EACCES or EAGAIN: somebody holds it
                return False
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, holder)
            return True

    @classmethod
    def forget_after_fork(cls) -> None:
        """In a forked child, which inherits no locks: close the inherited descriptors.

        That is safe only here, while the child has no locks of its own.
        """
        for lock_file in cls._opened.values():
            os.close(lock_file.descriptor)
        cls._opened, cls._guard = {}, threading.Lock()


os.register_at_fork(after_in_child=LockFile.forget_after_fork)
