"""The envelope of every event: CloudEvents 1.0, structured JSON; docs/events.md describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from uuid_utils import uuid7

from . import patterns, strict_json
from .errors import Malformed, MessagingError, UnknownEvent, sent_by
from .event import Event
from .fields import Moment
from .registry import EVENTS
from .sealed import sealed_fields

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=Event)

CONTENT_TYPE = "application/cloudevents+json"

Place = tuple[str, str, str]
"""Where a sealed field stands: id of the event, its type, name of the field."""
Seal = Callable[[Place, str], str]
"""Makes the sealed text of a value, or leaves the value as it is."""

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=patterns.NAME)]

_TRACE = re.compile(patterns.TRACE)
_JSON = re.compile(patterns.JSON_MEDIA_TYPE)


def _trace_or_none(value: Any) -> Any:
    """Drop an invalid trace (W3C Trace Context): no event is refused because of its trace."""
    return value if isinstance(value, str) and _TRACE.fullmatch(value) else None


Traceparent = Annotated[str | None, BeforeValidator(_trace_or_none, json_schema_input_type=Any)]
"""The schema takes anything, as the reader does."""


class Attributes(BaseModel):
    """The CloudEvents attributes we read; others are ignored."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Name
    subject: Name
    time: Moment
    correlationid: Name | None = None
    causationid: Name | None = None
    traceparent: Traceparent = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Generic[E]):
    """An event with its CloudEvents attributes. `id` and `source` together identify it forever."""

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
        """An envelope for the reply: same correlation and trace, and this id as its cause."""
        return Envelope.of(
            event,
            cause=self.id,
            correlation=self.correlationid,
            traceparent=self.traceparent,
        )

    @property
    def sensitive_values(self) -> list[str]:
        """The texts of the event's sensitive fields, to be masked wherever they stand."""
        values = [getattr(self.data, name, None) for name in self.data.sensitive]
        return [value for value in values if isinstance(value, str)]

    def to_json(self, seal: Seal | None = None) -> bytes:
        """The bytes on the wire, with sealed fields as `seal` makes them.

        Raises `ValueError` for a number that JSON does not have, and what `seal` raises.
        """
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
        data = wire["data"] = self.data.model_dump(mode="json")
        if seal is not None:
            for name in sealed_fields(type(self.data)):
                if data.get(name) is not None:
                    data[name] = seal((self.id, self.type, name), data[name])
        return _to_json(wire).encode()

    @classmethod
    def from_json(cls, raw: bytes, unseal: Seal | None = None) -> Envelope[Any]:
        """Read an event from the wire; unknown fields are ignored, known ones are checked.

        `unseal` gets the text of each field that may be sealed, and returns its value. Raises
        `Malformed`, `UnknownEvent` for a well-formed event of a type not known here, and what
        `unseal` raises.
        """
        value = strict_json.loads(raw, whole_floats=True)
        if not isinstance(value, dict):
            raise Malformed(f"expected a JSON object, got {type(value).__name__}")
        # Null is the same as not there (CloudEvents JSON format, section 2.1).
        value = {name: given for name, given in value.items() if given is not None}
        try:
            return cls._read(value, unseal)
        except MessagingError as fault:
            fault.sender = sent_by(value.get("type"), value.get("source"))
            raise

    @staticmethod
    def _read(value: dict[str, Any], unseal: Seal | None) -> Envelope[Any]:
        if not _JSON.fullmatch(str(value.get("datacontenttype", "application/json"))):
            raise Malformed("datacontenttype: expected application/json")
        attributes = _validated(Attributes, value)
        event_class = EVENTS.get(attributes.type)
        if event_class is None:
            raise UnknownEvent(f"no event of type {attributes.type!r} is known here")
        if attributes.source != f"/{event_class.producer}":
            raise Malformed(f"source: expected /{event_class.producer} for {attributes.type}")
        data = value.get("data")
        if unseal is not None and isinstance(data, dict):
            data = data | {
                name: unseal((attributes.id, attributes.type, name), data[name])
                for name in sealed_fields(event_class)
                if isinstance(data.get(name), str)
            }
        event = _validated(event_class, data, at="data.")
        subject, given = event.subject, attributes.subject
        # A UUID may come in capitals; any other text must match exactly.
        is_uuid = isinstance(getattr(event, event_class.about), UUID)
        if subject != (given.lower() if is_uuid else given):
            raise Malformed(f"subject: expected the {event_class.about} of the data")
        correlation = attributes.correlationid or given
        return Envelope(
            **{**vars(attributes), "subject": subject, "correlationid": correlation}, data=event
        )


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

M = TypeVar("M", bound=BaseModel)


def _validated(model: type[M], value: Any, at: str = "") -> M:
    try:
        return model.model_validate(value, extra="ignore")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        texts = (f"{at}{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        kinds = (f"{at}{_field(fault['loc'])} {fault['type']}" for fault in faults)
        raise Malformed(
            patterns.visible("; ".join(texts)), kind=", ".join(dict.fromkeys(kinds))
        ) from None


def _field(place: tuple[int | str, ...]) -> str:
    """Which field it is, for all entries of a list alike."""
    return ".".join("*" if isinstance(part, int) else part for part in place)
