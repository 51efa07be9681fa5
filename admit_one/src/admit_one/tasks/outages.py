"""An outage of the database is reported once, not by every task that meets it; so is its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from admit_one.database.outage import DATABASE_ERRORS, NotNow
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

    A database error that is not an outage is raised as it is.
    """

    @wraps(task)
    def run() -> None:
        try:
            task()
        except NotNow as error:
            began(error)
            raise
        except DATABASE_ERRORS as error:
            # Imported here, because it needs Django's apps to be ready.
            from admit_one.messaging.inbox import database_works  # noqa: PLC0415

            if database_works():
                raise
            began(error)
            raise NotNow("the database is unavailable") from error
        ended()

    return run
