"""Valid names of events and services: those that the broker, files and logs all accept."""

from __future__ import annotations

import re

TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""A routing key has at most 255 bytes (AMQP 0-9-1); `*` and `#` are wildcards in a topic."""

SERVICE = re.compile(r"(?!amq[.])[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A queue's name has at most 255 bytes, prefix and suffix included; `amq.` is the broker's."""


def fits(pattern: re.Pattern[str], name: object) -> bool:
    """Whether `name` is a text that `pattern` allows."""
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def expected(longest: int) -> str:
    """The text of an error about a name that does not fit."""
    return f"expected a name of 1 to {longest} ASCII letters, digits, dots, hyphens or underscores"
