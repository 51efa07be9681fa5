"""For the tests of a service with webhooks."""

from __future__ import annotations

from .known import NOBODY, listeners


def nobody_listens() -> None:
    """No endpoint is known until one is made, or `listeners.forget()` has them read.

    So no test knows of the endpoints of another one, and none counts the query that reads them.
    """
    listeners.assume(NOBODY)
