"""The envelope of every event: CloudEvents 1.0, structured JSON. The wire is in docs/events.md."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from uuid_utils import uuid7

from . import strict_json
from .errors import Malformed, UnknownEvent
from .event import Event
from .fields import Moment
from .registry import EVENTS

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=Event)

CONTENT_TYPE = "application/cloudevents+json"

# No control characters: ids stand in logs, in AMQP properties and in database columns.
Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
TRACE_PATTERN = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"


def _trace_or_none(value: Any) -> Any:
    """A trace that is none is dropped (W3C Trace Context): no event is lost for its trace."""
    return value if isinstance(value, str) and re.fullmatch(TRACE_PATTERN, value) else None


Traceparent = Annotated[
    Annotated[str, Field(pattern=TRACE_PATTERN)] | None, BeforeValidator(_trace_or_none)
]


class Attributes(BaseModel):
    """The CloudEvents attributes we read; others are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    specversion: Annotated[str, Field(pattern=r"^1\.0$")] = "1.0"
    id: Name
    source: Name
    type: Name
    subject: Name
    time: Moment
    correlationid: Name
    causationid: Name | None = None
    traceparent: Traceparent = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Generic[E]):
    """One event and what the post needs to know of it. `id` and `source` name it for ever."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    correlationid: str
    causationid: str | None = None
    traceparent: str | None = None
    data: E

    @classmethod
    def of(
        cls,
        event: E,
        *,
        cause: str | None = None,
        correlation: str | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """A new envelope about the event's subject, caused by the event with id `cause`."""
        subject = event.subject
        return cls(
            id=str(uuid7()),
            source=f"/{event.producer}",
            type=event.type,
            subject=subject,
            time=datetime.now(UTC),
            correlationid=correlation or subject,
            causationid=cause,
            traceparent=traceparent,
            data=event,
        )

    def follow(self, event: R) -> Envelope[R]:
        """The reply to this one: same correlation, this id as its cause, same trace."""
        return Envelope.of(
            event,
            cause=self.id,
            correlation=self.correlationid,
            traceparent=self.traceparent,
        )

    def to_json(self) -> bytes:
        """The bytes on the wire. Raises `ValueError` for a number that JSON does not have."""
        wire: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "correlationid": self.correlationid,
        }
        if self.causationid is not None:
            wire["causationid"] = self.causationid
        if self.traceparent is not None:
            wire["traceparent"] = self.traceparent
        wire["data"] = self.data.model_dump(mode="json")
        return json.dumps(wire, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Envelope[Any]:
        """Read an event from the wire; unknown fields are ignored, known ones are checked.

        Raises `Malformed`, or `UnknownEvent` for a well-formed event of a type not known here.
        """
        value = strict_json.loads(raw)
        if not isinstance(value, dict):
            raise Malformed(f"expected a JSON object, got {type(value).__name__}")
        # Null is the same as not there (CloudEvents JSON format, section 2.1).
        value = {name: given for name, given in value.items() if given is not None}
        media_type = str(value.get("datacontenttype", "application/json"))
        if media_type.partition(";")[0].strip().lower() != "application/json":
            raise Malformed("datacontenttype: expected application/json")
        attributes = _validated(Attributes, {"correlationid": value.get("subject"), **value})
        event_class = EVENTS.get(attributes.type)
        if event_class is None:
            raise UnknownEvent(f"no event of type {attributes.type!r} is known here")
        if attributes.source != f"/{event_class.producer}":
            raise Malformed(f"source: expected /{event_class.producer} for {attributes.type}")
        event = _validated(event_class, value.get("data"), at="data.")
        subject = event.subject
        # In capitals, a UUID is the same UUID; a text is another text.
        if subject not in {attributes.subject, attributes.subject.lower()}:
            raise Malformed(f"subject: expected the {event_class.about} of the data")
        return Envelope(**{**vars(attributes), "subject": subject}, data=event)


M = TypeVar("M", bound=BaseModel)


def _validated(model: type[M], value: Any, at: str = "") -> M:
    try:
        return model.model_validate(value, extra="ignore")
    except ValidationError as error:
        faults = (
            f"{at}{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        )
        raise Malformed("; ".join(faults)) from None
