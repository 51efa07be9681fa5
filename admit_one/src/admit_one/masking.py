"""Addresses and codes out of texts that people and machines keep: logs, reasons, tracebacks."""

from __future__ import annotations

import re

# Each pattern starts where a run of its letters starts, or is bounded, so that a long hostile
# text costs one pass over it and not one a letter.
_ADDRESS = re.compile(
    r"(?<![^\s@<>\"'(),:;=*/\[\]{}])[^\s@<>\"'(),:;=*/\[\]{}]+@[^\s@<>\"'(),:;\[\]{}]+"
)
_CODE = re.compile(
    r"\b[0-9A-Za-z]{4}(?:-[0-9A-Za-z]{4}){3,}\b"
    # As people type it; the digit tells it from four short words.
    r"|\b(?=[A-Za-z ]{0,18}[0-9])[0-9A-Za-z]{4}(?: [0-9A-Za-z]{4}){3,}\b"
)
_LOGIN = re.compile(r"(?<=://)[^\s\"'<>]{1,300}@")


def mask(text: str) -> str:
    """`text` with mail addresses, access codes and logins in URLs unreadable."""
    text = _LOGIN.sub("***@", text)
    text = _ADDRESS.sub(lambda found: mask_address(found[0]), text)
    return _CODE.sub("****-****-****-****", text)


def harmless(text: str) -> str:
    """One masked line of a stranger's text, without a character that tells a terminal anything."""
    return "".join(one if one.isprintable() else "?" for one in mask(text))


def mask_address(address: str) -> str:
    """`ada@example.com` as `a…@e….com`: enough to recognise, not enough to write to."""
    local, _, domain = address.rpartition("@")
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}…@{(name or top)[:1]}…{dot + top if dot else ''}"
