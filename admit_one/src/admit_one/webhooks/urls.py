"""Which URLs a client may name, and what is in one: read once, by one rule.

Two readers of one URL that disagree about its host are how requests are led astray; so nothing
but this reads it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

from django.conf import settings

from admit_one.environment.reading import development

from .models import LONGEST_URL
from .networks import is_permitted

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\]"
_PORT = "[0-9]{1,5}"
_PATH = "(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?"

PATTERN = f"^https?://(?:{_HOST})(?::{_PORT})?{_PATH}$"
"""No user, no fragment, no backslash: what RFC 3986 lets stand in a path or a query."""

_URL = re.compile(f"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>{_PORT}))?(?P<path>{_PATH})")

USUAL = {"https": 443, "http": 80}
LOWEST_OTHER = 1024
"""Below it are the services of a machine that nobody means to send webhooks to, such as mail."""


class NotAllowed(ValueError):
    """The URL cannot be used; says what was expected."""


class Target(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    """A name, or an address without brackets."""
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == USUAL[self.scheme] else f"{host}:{self.port}"


def read(url: str) -> Target:
    """What is in a URL. Raises `NotAllowed`."""
    match = _URL.fullmatch(url)
    if match is None or len(url) > LONGEST_URL:
        raise NotAllowed(
            "expected https://HOST, HOST:PORT or HOST/PATH as in RFC 3986, in visible ASCII, "
            "without user, fragment or backslash"
        )
    scheme, path = match["scheme"], match["path"]
    port = int(match["port"] or USUAL[scheme])
    path = path if path.startswith("/") else f"/{path}"
    return Target(scheme, match["host"].strip("[]"), port, path)


def check(url: str) -> None:
    """Raises `NotAllowed` for a URL that a client may not name.

    A name is not looked up here: whatever it leads to now, it may lead elsewhere when it is used,
    and is checked then.
    """
    target = read(url)
    if target.scheme != "https" and not development():
        raise NotAllowed("expected https://")
    if target.port != USUAL[target.scheme] and not LOWEST_OTHER <= target.port <= 65_535:
        raise NotAllowed(f"expected the port 443, or one from {LOWEST_OTHER} to 65535")
    try:
        address = ip_address(target.host)
    except ValueError:
        if ":" in target.host:
            raise NotAllowed("expected an IPv6 address in the brackets") from None
        return
    if not is_permitted(address, settings.WEBHOOK_ALLOWED_NETWORKS):
        raise NotAllowed("expected an address of the internet, or a name")
