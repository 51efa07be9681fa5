"""Keeps secrets, mail addresses and access codes out of logs, stored reasons and tracebacks.

Addresses, codes, API keys and webhook secrets are known by their form, secrets of the settings by
their value: settings `learn` them. Ids that people search by, such as a Message-ID, stay as they
are.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

SHORTEST_SECRET = 8
"""Characters. Masking a shorter one, such as RabbitMQ's `guest`, would mask ordinary words.

Settings refuse shorter ones outside development.
"""

# Each pattern is bounded, or matches only at the start of a run of its characters, so that a long
# hostile text takes linear time.
_ADDRESS = re.compile(
    r"(?<![^\s@<>\"'(),:;=*/\[\]{}])[^\s@<>\"'(),:;=*/\[\]{}]+(?:@|%40)[^\s@<>\"'(),:;\[\]{}]+"
)
_MESSAGE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}@[^>]+")
"""What our mails are called, between angle brackets: mail servers' logs are searched for it."""
_GROUP = "[0-9A-Za-z]{4}"
_CODE = re.compile(
    rf"(?<![0-9A-Za-z]){_GROUP}( ?[-_.\u00a0\u2010-\u2015\u2212] ?|[ \t+]|%2[0D]){_GROUP}"
    rf"(?:\1{_GROUP}){{2,}}(?![0-9A-Za-z])"
)
"""In the groups in which it is printed, with one separator between them."""
_LOGIN = re.compile(r"(?<=://)[^\s\"'<>]{1,300}@")
_API_KEY = re.compile(r"admit_((?:test_)?[0-9A-Fa-f]{12})_[0-9A-Za-z_-]{8,200}")
_WEBHOOK_SECRET = re.compile(r"whsec_[0-9A-Za-z+/_-]{16,200}={0,2}")
_API_KEY_IN_BASE64 = re.compile(r"(?:YWRtaXRf|FkbWl0X|hZG1pdF)[0-9A-Za-z+/_-]{40,400}={0,2}")

_secrets: set[str] = set()
_any_secret: re.Pattern[str] | None = None
_in_hand: ContextVar[tuple[str, ...]] = ContextVar("in_hand", default=())


def learn(secrets: Iterable[str]) -> None:
    """From now on, mask these values.

    As they are, percent-encoded, in base64, and as `repr` and JSON show them.
    """
    global _any_secret  # noqa: PLW0603 (compiled once, not for each line)
    _secrets.update(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)
    if _secrets:
        longest_first = sorted(_secrets, key=len, reverse=True)
        forms = dict.fromkeys(form for secret in longest_first for form in _forms(secret))
        _any_secret = re.compile("|".join(forms))


@contextmanager
def hiding(values: Iterable[str]) -> Iterator[None]:
    """In this block, mask these values too: what is in hand and known by no form, such as a code.

    Also without the separators, as in `7K3MQ9TX2WBDH5RN`.
    """
    token = _in_hand.set((*_in_hand.get(), *values))
    try:
        yield
    finally:
        _in_hand.reset(token)


def mask(text: str) -> str:
    """`text` with secrets, addresses, access codes, API keys and logins in URLs masked."""
    if _any_secret is not None:
        text = _any_secret.sub("***", text)
    text = _LOGIN.sub("***@", text)
    text = _API_KEY.sub(r"admit_\1_***", text)
    text = _API_KEY_IN_BASE64.sub("***", text)
    text = _WEBHOOK_SECRET.sub("whsec_***", text)
    text = _ADDRESS.sub(_masked_address, text)
    text = _CODE.sub(_masked_code, text)
    for value in _in_hand.get():
        text = _hidden(value, text)
    return text


def mask_codes(text: str) -> str:
    """`text` with access codes masked, and nothing else."""
    return _CODE.sub(_masked_code, text)


def harmless(text: str) -> str:
    """A third party's text as one masked line without control characters."""
    return one_line(mask(text))


def one_line(text: str) -> str:
    """`text` as one line without control characters; nothing is masked."""
    if text.isprintable():
        return text
    plain = (c if c.isprintable() else " " if c.isspace() else "?" for c in text)
    return "".join(plain)


def mask_address(address: str) -> str:
    """`ada@example.com`, or `ada%40example.com`, as `a…@e….com`.

    It is enough to recognise the address, not enough to write to it.
    """
    local, _, domain = address.replace("%40", "@").rpartition("@")
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}…@{(name or top)[:1]}…{dot + top if dot else ''}"


def mask_tracebacks() -> None:
    """Mask what Python prints of an error that nobody catches, in any thread or destructor."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_masked
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_masked_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _print_masked_of_destructor


def _print_masked(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    if sys.stderr is not None:  # it may have been closed before the start
        sys.stderr.write(mask("".join(traceback.format_exception(kind, error, trace))))


def _print_masked_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        _print_masked(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _print_masked_of_destructor(ignored: sys.UnraisableHookArgs) -> None:
    if sys.is_finalizing():  # what masks is gone already
        return
    if sys.stderr is not None:
        where = getattr(ignored.object, "__qualname__", type(ignored.object).__qualname__)
        sys.stderr.write(f"{ignored.err_msg or 'Exception ignored in'}: {where}\n")
    _print_masked(ignored.exc_type, ignored.exc_value, ignored.exc_traceback)


def _masked_address(found: re.Match[str]) -> str:
    around = (
        found.string[max(0, found.start() - 1) : found.start()] + found.string[found.end() :][:1]
    )
    if around == "<>" and _MESSAGE_ID.fullmatch(found[0]):
        return found[0]
    return mask_address(found[0])


def _masked_code(found: re.Match[str]) -> str:
    # As people type it, a digit distinguishes it from four short words.
    groups = found[0].replace(found[1], "")
    is_code = found[1] == "-" or any(map(str.isdecimal, groups))
    return "****-****-****-****" if is_code else found[0]


def _hidden(value: str, text: str) -> str:
    bare = "".join(filter(str.isalnum, value))
    for form in dict.fromkeys((value, bare)):
        if len(form) >= SHORTEST_SECRET:
            text = re.sub(re.escape(form), "***", text, flags=re.IGNORECASE)
    return text


def _forms(secret: str) -> Iterator[str]:
    """Patterns of all the ways in which a secret is written somewhere."""
    yield "".join(map(_perhaps_percent_encoded, secret))
    raw = _bytes_of(secret)
    for written in (
        *(repr(secret)[1:-1], ascii(secret)[1:-1], repr(raw)[2:-1]),
        *(json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]),
        *_in_base64(raw),
    ):
        if written != secret:
            yield re.escape(written)


def _perhaps_percent_encoded(character: str) -> str:
    if character.isascii() and (character.isalnum() or character in "-._~"):
        return re.escape(character)
    encoded = "".join(f"%{byte:02X}" for byte in _bytes_of(character))
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|(?i:{encoded}){plus})"


def _in_base64(raw: bytes) -> Iterator[str]:
    """What base64 makes of `raw` within a longer text, whatever stands before and after it."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        # Without the characters that also hold bits of the neighbours.
        own = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield own
        yield own.replace("+", "-").replace("/", "_")


def _bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
