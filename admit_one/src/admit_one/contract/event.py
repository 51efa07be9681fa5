"""The base class of every event.

A published event never changes its meaning; it may gain optional fields.
Everything else is a successor with a name of its own (`user_subscribed.v2`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from . import registry


class Event(BaseModel):
    """A fact that one service publishes: strict when written, frozen, and silent in errors.

    A subclass sets `type`, `producer` and `about`, and registers itself. Raises `TypeError` when
    it is defined with a type that is taken, or names a field that it does not have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: ClassVar[str]
    """The routing key, and the name of the event for ever."""
    producer: ClassVar[str]
    """The only service that may publish it; that service's exchange carries it."""
    about: ClassVar[str]
    """The field that names what the event is about: the subject of its envelope."""
    sensitive: ClassVar[Collection[str]] = frozenset()
    """Fields that no log, list or page shows in clear."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "type" in vars(cls):
            registry.register(cls)

    @property
    def subject(self) -> str:
        """What the event is about: the subject of its envelope."""
        return str(getattr(self, self.about))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """An event may end up in a log or a traceback, so its repr hides what is sensitive."""
        for name, value in super().__repr_args__():
            yield name, "***" if name in self.sensitive else value
