"""What events and services may be called: names that the broker, files and logs all take."""

from __future__ import annotations

import re

TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""A routing key has at most 255 bytes (AMQP 0-9-1); `*` and `#` mean something in a topic."""

SERVICE = re.compile(r"(?!amq[.])[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A queue's name has at most 255 bytes, prefix and suffix included; `amq.` is the broker's."""


def expected(longest: int) -> str:
    """What to say of a name that does not fit."""
    return f"expected a name of 1 to {longest} ASCII letters, digits, dots, hyphens or underscores"
