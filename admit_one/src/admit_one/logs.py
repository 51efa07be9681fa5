"""How log records are written: as lines for people or as JSON for machines, and always masked.

A record is masked when it is written, whoever made it, its traceback included.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from datetime import UTC, datetime
from typing import Any

from .contract.envelope import Envelope
from .masking import mask

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 (never changed)

_process = {"service": "", "role": ""}
"""What this process is, told once at its start."""


def this_is(service: str, role: str) -> None:
    """Let every record of this process say which one it is."""
    _process.update(service=service, role=role)


@contextmanager
def about(**fields: str | None) -> Iterator[None]:
    """Put these fields into every JSON record that the block writes; empty ones are left out."""
    token = _about.set(_about.get() | {name: text for name, text in fields.items() if text})
    try:
        yield
    finally:
        _about.reset(token)


def facts(envelope: Envelope[Any] | None) -> dict[str, str | None]:
    """The fields by which a record can be found again that is `about` this event."""
    if envelope is None:
        return {}
    return {
        "event_id": envelope.id,
        "event_type": envelope.type,
        "subscription_id": str(getattr(envelope.data, "subscription_id", "")),
        "correlation_id": envelope.correlationid,
        "causation_id": envelope.causationid,
        "trace_id": envelope.traceparent.split("-")[1] if envelope.traceparent else None,
    }


class Line(logging.Formatter):
    """One line a fact: when, how bad, what."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {message}", style="{")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_masked(record, self))


class Json(logging.Formatter):
    """One JSON object a record, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        masked = _masked(record, self)
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked.msg,
            **{name: text for name, text in _process.items() if text},
            **{name: mask(text) for name, text in _about.get().items()},
        }
        if masked.exc_text:
            entry["traceback"] = masked.exc_text
        if masked.stack_info:
            entry["stack"] = masked.stack_info
        return json.dumps(entry)


def _masked(record: logging.LogRecord, formatter: logging.Formatter) -> logging.LogRecord:
    """A copy with nothing in clear: others may keep the record itself."""
    masked = copy(record)
    masked.msg, masked.args = mask(record.getMessage()), None
    # Not the text that another formatter may have left there.
    masked.exc_text = mask(formatter.formatException(record.exc_info)) if record.exc_info else None
    masked.stack_info = mask(record.stack_info) if record.stack_info else None
    return masked


FORMATS = {"line": Line, "json": Json}

TOO_LOUD = {
    "django": logging.WARNING,
    "django.request": logging.ERROR,  # a caller's mistakes are told to the caller
    "celery": logging.WARNING,
    "kombu": logging.WARNING,
    "amqp": logging.WARNING,
    "axes": logging.WARNING,
    "asyncio": logging.WARNING,
}
"""Libraries that say more than anybody wants to know, and from where on they are heard."""


def configuration(level: str, written: str = "line") -> dict[str, Any]:
    """Django's LOGGING: one record a line on standard error, masked, as a key of `FORMATS` says.

    Everybody is heard from `level` on, whatever the name of their app, but for `TOO_LOUD`.
    """
    least = logging.getLevelNamesMapping()[level]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": FORMATS[written]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            **{name: {"level": max(least, loud)} for name, loud in TOO_LOUD.items()},
            # The web server's own handler masks nothing.
            "uvicorn.error": {"handlers": ["stderr"], "propagate": False},
        },
    }
