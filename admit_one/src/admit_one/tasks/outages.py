"""An outage of the database is reported once, not by every task that meets it; so is its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from admit_one.database.outage import DATABASE_ERRORS, OWN_FAILURES, NotNow
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer

_announcer = Announcer()


def began(error: Exception) -> None:
    """Say that the database is unavailable, if nobody has in this process."""
    _announcer.trouble(
        "database_unavailable",
        "the database is unavailable, and the tasks wait: {error}",
        error=mask(str(error)).strip(),
    )


def ended() -> None:
    """Say that the database is back, if it was unavailable."""
    _announcer.over("database_back", "the database is back")


def outlived(task: Callable[[], object]) -> Callable[[], None]:
    """`task`, which in an outage ends with `NotNow`; its next run continues.

    A database error that is not an outage is raised as it is, if it comes again at once: a single
    one may be the last of an outage that has just ended.
    """

    @wraps(task)
    def run() -> None:
        try:
            _twice(task)
        except NotNow as error:
            began(error)
            raise
        ended()

    return run


def _twice(task: Callable[[], object]) -> None:
    # Imported here, because it needs Django's apps to be ready.
    from admit_one.messaging.inbox import database_works  # noqa: PLC0415

    failures = 0
    while True:
        try:
            task()
        except DATABASE_ERRORS as error:
            if not database_works():
                raise NotNow(str(error)) from error
            failures += 1
            if failures == OWN_FAILURES:
                raise
        else:
            return
