"""Regular expressions that every reader of our JSON Schemas understands alike.

A schema's patterns are compiled by JavaScript (with its flag `u`), Go (RE2), Java, Rust and Python.
These agree on less than each of them can: an escaped quote is an error in JavaScript, and the
classes of spaces, digits and letters differ. So the patterns here spell out what they mean.
"""

from __future__ import annotations

import json
import re

BLANK = r"\x00-\x20\x7f\x85\xa0" + "\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Spaces and control characters, to stand between brackets: Unicode's white space and ASCII's
controls. Literally beyond `\\xff`, as there is no escape that both JavaScript and Go know."""

UNSEEN = (
    r"\x80-\x9f\xad"
    "\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ue000-\uf8ff\ufeff\ufff9-\ufffb"
)
"""What nobody sees, or not as it is: format controls, among them those that turn the direction of a
line, and private use. Spelt out, as each version of Unicode and so of a language has its own; and
up to U+FFFF, as some readers of our schemas take what lies beyond for two characters."""

WORD = f"^[^{BLANK}]+$"
_SEEN = f"[^{BLANK}{UNSEEN}]"
SEEN = f"^{_SEEN}+$"
"""A word of which every character can be seen: what people are to read and compare."""
_IN_A_LINE = r"[^\x00-\x1f\x7f" + f"\u2028\u2029{UNSEEN}]"
LINE = f"^{_IN_A_LINE}+$"
"""The same with spaces."""
SAID = f"^ *{_SEEN}{_IN_A_LINE}*$"
"""The same, but more than spaces."""
NAME = r"^[^\x00-\x1f\x7f]+$"
"""No control characters: names appear in logs, in AMQP properties and in database columns."""

_NOT_IN_AN_ADDRESS = r'@<>(),:;"\\\[\]' + BLANK
EMAIL = f"^[^{_NOT_IN_AN_ADDRESS}]{{1,64}}@[^{_NOT_IN_AN_ADDRESS}]+$"
"""One address and nothing else: no list, no display name, no line break (RFC 5321 lengths)."""

UUID_TEXT = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
"""The one form of RFC 9562; Python would also read braces, `urn:uuid:` and no hyphens."""

_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_IN_FOUR = "(0[48]|[2468][048]|[13579][26])"
_DATE = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    f"|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{{2}}{_IN_FOUR}|{_IN_FOUR}00)-02-29)"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
TIMESTAMP = f"^{_DATE}[Tt ]{_TIME}{_OFFSET}$"
"""RFC 3339, without leap seconds, of a day that exists."""
DATE_TIME = f"^{_DATE}[Tt]{_TIME}{_OFFSET}$"
"""The same without a space, as the format `date-time` of JSON Schema has it."""

CURRENCY = "^[A-Z]{3}$"
TRACE = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
"""A trace parent as W3C Trace Context writes it."""

_LOCAL_PART = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP_LEVEL = "([A-Za-z][A-Za-z-]{0,61}[A-Za-z]|[Xx][Nn]--[A-Za-z0-9]{1,59})"
ASCII_EMAIL = rf"^{_LOCAL_PART}@({_LABEL}\.)+{_TOP_LEVEL}$"
"""An address that needs no quotes, at a host of the internet (RFC 5321; its lengths apart)."""

JSON_MEDIA_TYPE = (
    "^ *" + "".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in "application/json")
) + r" *(;[\x20-\x7e]*)?$"
"""`application/json` in any case, with or without parameters."""


_ESCAPE = re.compile(
    r"\\(?P<portable>[\^$\\.*+?()\[\]{}|/dDsSwWbBfnrtv]|x[0-9A-Fa-f]{2})|\\(?P<other>.?)", re.DOTALL
)
_GROUP = re.compile(r"\(\?(?!:)(.{0,2})", re.DOTALL)


def visible(text: str) -> str:
    """`text` with an escape for each character that nobody sees; a pattern may hold some."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def unportable(pattern: str) -> str:
    """What in `pattern` not every language compiles; empty if all do.

    It knows escapes and groups, in which the languages differ most, and no other syntax.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        return f"it does not compile: {error}"
    for escape in _ESCAPE.finditer(pattern):
        if escape["portable"] is None:
            return f"the escape \\{escape['other']}"
    # An escaped bracket, and one between brackets, begins no group.
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "", re.sub(r"\\.", "", pattern, flags=re.DOTALL))
    if group := _GROUP.search(bare):
        return f"the group (?{group[1]}"
    return ""
