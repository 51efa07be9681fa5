"""How log records are made and written: as lines for people or as JSON for machines.

A record of ours has a sentence, the name of its event and fields:

    logger = EventLogger(__name__)
    logger.warning("mail_server_away", "mail server is away, mails wait: {reason}", reason=…)

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
from functools import partialmethod
from typing import Any

from .contract.envelope import Envelope
from .masking import mask

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 (never changed)

_process = {"service": "", "role": ""}
"""What this process is, set once at its start."""


def this_is(service: str, role: str) -> None:
    """Let every record of this process name it."""
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
        "subject": envelope.subject,
        "correlation_id": envelope.correlationid,
        "causation_id": envelope.causationid,
        "trace_id": envelope.traceparent.split("-")[1] if envelope.traceparent else None,
    }


class EventLogger:
    """Logs what happened: an event's name, a sentence with fields in braces, and all the fields.

    Other loggers do the same by `extra={"event": …, "fields": {…}}`.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def log(
        self, level: int, event: str, sentence: str, /, *, exc_info: Any = None, **fields: Any
    ) -> None:
        if self._logger.isEnabledFor(level):
            extra = {"event": event, "fields": fields}
            self._logger.log(level, sentence.format(**fields), exc_info=exc_info, extra=extra)

    info = partialmethod(log, logging.INFO)
    warning = partialmethod(log, logging.WARNING)
    error = partialmethod(log, logging.ERROR)
    critical = partialmethod(log, logging.CRITICAL)


class Line(logging.Formatter):
    """One line a fact: when, how bad, what, and its event with the fields.

    Nothing in it can forge a second line or speak to a terminal: what is not printable is
    escaped, and the lines of a traceback are indented.
    """

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {message}", style="{")

    def format(self, record: logging.LogRecord) -> str:
        masked = _masked(record, self)
        fields = (f"{name}={_word(value)}" for name, value in _fields(record).items())
        masked.msg = _printable(" ".join([masked.msg, *fields]))
        masked.exc_text = _indented(masked.exc_text)
        masked.stack_info = _indented(masked.stack_info)
        return super().format(masked)


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
        entry |= {n: value for n, value in _fields(record).items() if n not in entry}
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


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The record's event and its fields, masked. Numbers stay numbers."""
    event = getattr(record, "event", None)
    if event is None:
        return {}
    given = {"event": event, **getattr(record, "fields", {})}
    return {
        name: value if isinstance(value, int | float) else mask(str(value))
        for name, value in given.items()
        if value is not None
    }


def _word(value: Any) -> str:
    """A field's value in a line: in quotes if anybody could take it for more than one word."""
    text = str(value)
    plain = text and not set(text) & set(' "=') and text.isprintable()
    return text if plain else json.dumps(text, ensure_ascii=False)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _indented(text: str | None) -> str | None:
    return text and "\n".join(f"  {_printable(line)}" for line in text.splitlines())


FORMATS = {"line": Line, "json": Json}

TOO_LOUD = {
    "django": logging.WARNING,
    "django.request": logging.ERROR,  # the response reports a caller's mistakes
    "celery": logging.WARNING,
    "kombu": logging.WARNING,
    "amqp": logging.WARNING,
    "axes": logging.WARNING,
    "asyncio": logging.WARNING,
    "waitress": logging.WARNING,
    "waitress.queue": logging.ERROR,  # a line for each request that waits for a thread
}
"""Libraries that log more than anybody wants to know, and the level from which we keep it."""


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
        "loggers": {name: {"level": max(least, loud)} for name, loud in TOO_LOUD.items()},
    }
