"""An error as it is stored: its cause, its text and its traceback, without addresses or codes."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from admit_one.contract.errors import (
    Malformed,
    Rejected,
    Unauthenticated,
    UnknownEvent,
    UnknownKey,
)
from admit_one.masking import harmless, mask
from admit_one.messaging import conf

LONGEST_HEADERS = 8_000
LONGEST_REASON = 1_000
LONGEST_TRACEBACK = 8_000
"""Characters of each that are stored."""

LONGEST_FINGERPRINT = 255
"""Characters, as many as its column holds."""

LONGEST_HISTORY = 20
"""Entries, so that a message that arrives a million times does not make its row grow."""

Entry = dict[str, str]


def fingerprint_of(error: BaseException) -> str:
    """What failures with one cause share: the error's class, and the service's function it is from.

    That is the innermost frame of the service's own code: an error in a library groups by its
    caller. It has no line number, so that a release that moves the line does not split a group.
    It skips comprehensions and lambdas, which are frames in some versions of Python only.

    Of a message that is refused it is the sender and the kind of fault, so that what one sender
    does wrong is never discarded together with another's.
    """
    package = conf.current().WIRING.partition(".")[0]
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    # By the module's name: the path of a library may contain the service's name.
    ours = [
        f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
        for frame in frames
        if (module := str(frame.f_globals.get("__name__"))).partition(".")[0] == package
        and not frame.f_code.co_name.startswith("<")
    ]
    name = type(error).__name__
    if ours:
        return f"{name} in {ours[-1]}"[:LONGEST_FINGERPRINT]
    if isinstance(error, (Malformed, Rejected, Unauthenticated, UnknownEvent, UnknownKey)):
        parts = filter(None, (name, error.sender, error.kind))
        return harmless(": ".join(parts))[:LONGEST_FINGERPRINT]
    return name


def described(error: BaseException) -> dict[str, str]:
    """The columns of a row that describe `error`."""
    return {
        "error": type(error).__name__,
        "reason": reason_of(error),
        "traceback": traceback_of(error),
        "fingerprint": fingerprint_of(error),
    }


def reason_of(error: BaseException) -> str:
    """The error's text, masked: errors may quote a message."""
    return _storable(mask(str(error))[:LONGEST_REASON]) or type(error).__name__


def traceback_of(error: BaseException) -> str:
    """The end of the traceback, where the error is, masked."""
    # Masked before it is cut: half a code is not recognised as one.
    return _storable(mask("".join(traceback.format_exception(error)))[-LONGEST_TRACEBACK:])


def entry(error: BaseException) -> Entry:
    """The history's entry for one failed attempt."""
    return {"at": now(), "error": type(error).__name__, "reason": reason_of(error)}


def extended(history: list[Entry], latest: Entry) -> list[Entry]:
    """`history` with `latest`, cut to its first entry and the latest ones."""
    return [*history[:1], *history[1:][2 - LONGEST_HISTORY :], latest]


def printable(headers: Mapping[str, Any]) -> dict[str, str]:
    """`headers` as escaped text, cut where names and values together are `LONGEST_HEADERS`."""
    kept: dict[str, str] = {}
    left = LONGEST_HEADERS
    for header, value in headers.items():
        name = mask(ascii(header)[1:-1])[: min(255, left)]
        kept[name] = mask(ascii(value))[: max(0, left - len(name))]
        left -= len(name) + len(kept[name])
        if left <= 0:
            break
    return kept


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _storable(text: str) -> str:
    """`text` without NUL and lone surrogates, which no database takes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
