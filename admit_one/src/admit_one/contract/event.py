"""The base class of every event.

A published event never changes its meaning; it may gain optional fields.
Any other change needs a new type (`user_subscribed.v2`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from . import registry


class Event(BaseModel):
    """A fact that one service publishes: immutable, strict when written, never quoted in errors.

    A subclass sets `type`, `producer` and `about`, and registers itself. Defining one raises
    `TypeError` if its type is taken, if it names a field that it does not have, or if no reader
    would find or could open one of its fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: ClassVar[str]
    """The routing key; it never changes."""
    producer: ClassVar[str]
    """The only service that may publish it; that service's exchange carries it."""
    about: ClassVar[str]
    """The field that names what the event is about: the subject of its envelope."""
    sensitive: ClassVar[Collection[str]] = frozenset()
    """Fields that no log, list or page shows in clear."""
    sealed_for: ClassVar[str] = ""
    """The only service that can read its fields of the type `Sealed`."""
    sealed_only: ClassVar[bool] = False
    """Whether its reader refuses those fields in clear: that they are sealed is what shows who
    sent the secret, where the event is not signed."""
    signed: ClassVar[bool] = False
    """Whether it makes its receiver tell, move or accept a secret, or erase what it keeps: then it
    must be signed."""
    about_erasure: ClassVar[bool] = False
    """Whether it is handled although its subject is erased, because it is about that."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "type" in vars(cls) or "type" in cls.model_fields:
            registry.register(cls)

    @property
    def subject(self) -> str:
        """The value of the `about` field, as text."""
        return str(getattr(self, self.about))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """An event may end up in a log or a traceback, so its repr hides what is sensitive."""
        for name, value in super().__repr_args__():
            yield name, "***" if name in self.sensitive else value
