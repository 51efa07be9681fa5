"""The `type` of a problem: the address of the page that explains its code (RFC 9457, 3.1.1).

Without the setting PROBLEM_TYPES it is `about:blank`. The code of the problem is added to it, so
it ends with `/` or `#`. The default is a path of this API: a client resolves it against the
address that it called, behind any proxy and without the internet.
"""

from __future__ import annotations

import re
from typing import Annotated

from django.conf import settings

from admit_one.environment import Reads, Wrong

DEFAULT = "/v1/problems/"

BASE = re.compile(r"(https?://[\x21-\x7e]*[^/]|)/[\x21-\x7e]*(?<=[/#=])")


def _base(text: str) -> str:
    if not BASE.fullmatch(text):
        raise Wrong(repr(text))
    return text


Base = Annotated[str, Reads("a path or an http address that ends with /, # or =", _base)]


def type_of(code: str) -> str:
    """The `type` of the problem with this code."""
    base = getattr(settings, "PROBLEM_TYPES", "")
    return f"{base}{code}" if base else "about:blank"
