"""Checks a process's keys when it starts, and looks at the canaries while it runs.

Once a minute, each process compares its keys with the canaries, because a key may begin to seal
that it does not have, and reports which keys it has (see `holders`).
"""

from __future__ import annotations

import atexit
import os
import random
import threading

from admit_one.database import outage, session
from admit_one.logs import EventLogger
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer
from admit_one.processes.pulse import pulse

from . import canaries, holders
from .canaries import WrongKey

logger = EventLogger(__name__)

FIRST_ANSWER = 6.0
"""Seconds that a start waits for the database: a little longer than a connection may take."""

LOOK_EVERY = 60.0
"""Seconds between two looks at the canaries, at most."""

LAST_WORD = 1.0
"""Seconds that the end of a process waits until its row is deleted."""


def guard(process: str) -> None:
    """Check the keys and watch them, in a process that must start without its database, too.

    It also checks what the database's sessions are like. It continues in a thread until the
    database answers, and ends the process if something is wrong or cannot be checked.
    """
    checking = threading.Thread(
        target=_check_until_answered, args=(process,), name="keys", daemon=True
    )
    checking.start()
    checking.join(FIRST_ANSWER)


def start(process: str) -> None:
    """Watch the keys of this process, which are checked already, until it ends.

    It is not ready while it lacks a key that the database's rows are sealed with.
    """
    watch = Watch(process)
    pulse.checks.append(lambda: watch.trouble)
    watch.thread.start()
    atexit.register(watch.end)


class Watch:
    """Looks at the canaries now and then, in a thread with a database connection of its own."""

    def __init__(self, process: str) -> None:
        self.trouble = ""
        """Why the keys are wrong; empty if they are right, as far as is known."""
        self.thread = threading.Thread(target=self._run, name="keys watch", daemon=True)
        self._holder = holders.this_process(process)
        self._ended = threading.Event()
        self._announcer = Announcer()

    def end(self) -> None:
        """Report that the process ends, if the database answers at once."""
        self._ended.set()
        self.thread.join(LAST_WORD)

    def look(self) -> None:
        """Report our keys, then compare them. An outage of the database says nothing of them."""
        try:
            holders.see(self._holder)
            canaries.compare()
        except WrongKey as error:
            self.trouble = str(error)
            self._announcer.trouble("keys_differ", "not ready: {error}", error=error)
        except outage.DATABASE_ERRORS:
            return
        else:
            self.trouble = ""
            self._announcer.over("keys_agree_again", "the keys are those of the database again")
        finally:
            outage.forget_connection()

    def _run(self) -> None:
        self.look()
        # At random, so that processes that started together do not look together.
        while not self._ended.wait(LOOK_EVERY * random.uniform(0.75, 1.0)):  # noqa: S311
            self.look()
        holders.forget(self._holder)
        outage.forget_connection()


def _check_until_answered(process: str) -> None:
    announcer = Announcer()

    def wait(seconds: float, error: Exception) -> None:
        announcer.trouble(
            "keys_not_compared_yet",
            "the keys cannot be checked against the database yet: {error}",
            error=mask(str(error)),
        )
        threading.Event().wait(seconds)

    try:
        outage.outlast(session.check, wait)
        outage.outlast(canaries.check, wait)
        announcer.over("keys_compared", "the keys were checked against the database")
    except WrongKey as error:
        logger.critical("wrong_key", "{error}", error=error)
        os._exit(1)
    except session.UnfitSession as error:
        logger.critical("database_session_unfit", "{error}", error=error)
        os._exit(1)
    except Exception:
        # Otherwise only this thread would end, and the process would continue unchecked.
        logger.critical(
            "keys_not_compared", "the keys could not be checked against the database", exc_info=True
        )
        os._exit(1)
    outage.forget_connection()
    start(process)
