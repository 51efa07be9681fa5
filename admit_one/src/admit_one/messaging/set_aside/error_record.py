"""An error as it is kept: its cause, its text, and its traceback, without addresses or codes."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from admit_one.masking import mask
from admit_one.messaging import conf

LONGEST_HEADERS = 8_000
LONGEST_REASON = 1_000
LONGEST_TRACEBACK = 8_000
"""Characters that are kept of each."""

LONGEST_HISTORY = 20
"""Entries: a message that comes a million times is a row of the same size."""

Entry = dict[str, str]


def fingerprint_of(error: BaseException) -> str:
    """What failures with one cause share: the error's class, and where in the service it arose.

    That is the frame of the service's own code that is nearest to the error: what a library or
    `admit_one` did with a wrong argument groups by who gave it. No line number, so that
    a release that moves the line does not split a group; and no comprehension or lambda, which
    is a frame in some versions of Python and not in others.
    """
    package = conf.current().WIRING.partition(".")[0]
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    # By the module's name: a folder on the way to a library may be called as the service is.
    ours = [
        f"{module.rpartition('.')[2]}.{frame.f_code.co_name}"
        for frame in frames
        if (module := str(frame.f_globals.get("__name__"))).partition(".")[0] == package
        and not frame.f_code.co_name.startswith("<")
    ]
    return f"{type(error).__name__} in {ours[-1]}"[:255] if ours else type(error).__name__


def described(error: BaseException) -> dict[str, str]:
    """All that a row keeps of `error`, by the names of its columns."""
    return {
        "error": type(error).__name__,
        "reason": reason_of(error),
        "traceback": traceback_of(error),
        "fingerprint": fingerprint_of(error),
    }


def reason_of(error: BaseException) -> str:
    """What operators read. Errors may quote a message, so addresses and codes are masked."""
    return _storable(mask(str(error))[:LONGEST_REASON]) or type(error).__name__


def traceback_of(error: BaseException) -> str:
    """The end of it, which is where the error is."""
    # Masked before it is cut: half a code is not recognised as one.
    return _storable(mask("".join(traceback.format_exception(error)))[-LONGEST_TRACEBACK:])


def entry(error: BaseException) -> Entry:
    """One failed try in a history."""
    return {"at": now(), "error": type(error).__name__, "reason": reason_of(error)}


def extended(history: list[Entry], latest: Entry) -> list[Entry]:
    """The first entry is how it began; of the others, the latest are kept."""
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
    """`text` without what no database takes, NUL and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
