"""How log records are made and written: as lines for people or as JSON for machines.

Our records have an event name, a sentence and fields:

    logger = EventLogger(__name__)
    logger.warning("mail_server_unavailable", "mails wait for the server: {reason}", reason=…)

Every record is masked when it is written, whoever logged it, traceback included.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from datetime import UTC, datetime
from functools import partialmethod
from math import isfinite
from typing import Any

from .contract.envelope import Envelope
from .masking import hiding, mask

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 (never changed)

_process = {"service": "", "role": ""}
"""What this process is, set once at its start."""


def identify_process(service: str, role: str) -> None:
    """Put service and role into every JSON record of this process."""
    _process.update(service=service, role=role)


@contextmanager
def about(**fields: str | None) -> Iterator[None]:
    """Put these fields into every JSON record that the block writes; empty ones are left out."""
    token = _about.set(_about.get() | {name: text for name, text in fields.items() if text})
    try:
        yield
    finally:
        _about.reset(token)


@contextmanager
def about_event(envelope: Envelope[Any] | None) -> Iterator[None]:
    """Put into every record of the block which event it is `about`.

    The event's sensitive values are masked in it by value, so that even a code without its
    separators stands in no log, no reason and no traceback.
    """
    with about(**facts(envelope)), hiding(envelope.sensitive_values if envelope else ()):
        yield


def facts(envelope: Envelope[Any] | None) -> dict[str, str | None]:
    """The fields that identify an event, for records `about` it."""
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
    """Logs an event name, a sentence with fields in braces, and all the fields.

    Any other logger can do the same with `extra={"event": …, "fields": {…}}`.
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


CALLERS_MISTAKES = "django.security"
"""Django logs here what it refuses, such as an unknown Host: no traceback of ours explains that."""


class Line(logging.Formatter):
    """One line per record: time, level, message, event and fields.

    A record cannot forge another line or control a terminal: unprintable characters are escaped,
    and the lines of a traceback are indented.
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
    """One JSON object per line."""

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
    """A masked copy: other handlers may use the record itself."""
    masked = copy(record)
    masked.msg, masked.args = mask(_message(record)), None
    if record.name.startswith(CALLERS_MISTAKES):
        masked.exc_info = None
    # Not the cached text, which another formatter may have left there unmasked.
    masked.exc_text = mask(formatter.formatException(masked.exc_info)) if masked.exc_info else None
    masked.stack_info = mask(record.stack_info) if record.stack_info else None
    return masked


def _message(record: logging.LogRecord) -> str:
    """The record's message; its parts, if they do not fit together.

    An error here would lose the record, and `logging` would print its arguments unmasked.
    """
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 (whatever the code of an argument raises)
        parts = (record.msg, *(record.args if isinstance(record.args, tuple) else [record.args]))
        return f"{' '.join(map(_text, parts))} (not formatted: {type(error).__name__})"


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}>"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The record's event and its fields, masked. Numbers that JSON knows stay numbers."""
    event = getattr(record, "event", None)
    if event is None:
        return {}
    fields = getattr(record, "fields", {})
    given = {"event": event, **(fields if isinstance(fields, Mapping) else {"fields": fields})}
    return {
        str(name): value if _is_number(value) else mask(_text(value))
        for name, value in given.items()
        if value is not None
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and isfinite(value)


def _word(value: Any) -> str:
    """A field's value in a line, quoted if it could be read as more than one word."""
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

LIBRARY_LEVELS = {
    "django": logging.WARNING,
    "django.request": logging.ERROR,  # the response reports a caller's mistakes
    "celery": logging.WARNING,
    "kombu": logging.WARNING,
    "amqp": logging.WARNING,
    "axes": logging.ERROR,  # we log logins ourselves, legibly
    "asyncio": logging.WARNING,
    "waitress": logging.WARNING,
    "waitress.queue": logging.ERROR,  # a line for each request that waits for a thread
}
"""Noisy libraries, and the lowest level that we keep of each."""


def configuration(level: str, written: str = "line") -> dict[str, Any]:
    """Django's LOGGING: masked records on standard error; `written` is a key of `FORMATS`.

    Every logger logs from `level` on, except those in `LIBRARY_LEVELS`.
    """
    least = logging.getLevelNamesMapping()[level]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": FORMATS[written]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {name: {"level": max(least, own)} for name, own in LIBRARY_LEVELS.items()},
    }
