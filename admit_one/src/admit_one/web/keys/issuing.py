"""Creates and revokes API keys, on the command line and on the pages for operators.

Each is an act on record, without the key's secret.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, time

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from admit_one.acts.models import Act
from admit_one.web.models import TOKEN, ApiKey

CLIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SPELLING = "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
"""One spelling for each name: two clients whose names look alike would be taken for one another.

A name that a client has from before may get further keys.
"""


class NotIssued(ValueError):
    """There is no new key; says which field is wrong, and what was expected."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(expected)
        self.field = field


def check_name(name: str) -> None:
    """Raises `NotIssued` for a name that no client may have."""
    if name in getattr(settings, "API_RESERVED_CLIENTS", ()):
        raise NotIssued("name", f"expected another name, as this service uses {name!r}")
    if not CLIENT.fullmatch(name) and not ApiKey.objects.filter(client=name).exists():
        raise NotIssued("name", f"expected {SPELLING}")


def check_end(expires: date | None) -> datetime | None:
    """When a key ends whose first day without it is `expires`. Raises `NotIssued`."""
    if expires is None:
        return None
    end = datetime.combine(expires, time(), UTC)
    if end <= timezone.now():
        raise NotIssued("expires", "expected a day in the future")
    return end


@transaction.atomic
def issue(
    name: str,
    scopes: Collection[str],
    *,
    expires: date | None = None,
    test: bool = False,
    by: str | None = None,
) -> str:
    """A new key of the client `name`. It cannot be shown again.

    Raises `NotIssued`, and `UnknownScope`.
    """
    check_name(name)
    end = check_end(expires)
    token = ApiKey.objects.issue(name, scopes=scopes, expires_at=end, test=test)
    prefix = TOKEN.sub(r"\g<prefix>", token)
    facts = {"scopes": list(scopes), "expires": str(expires or ""), "test": test}
    Act.draft("api_keys", "create", by=by, target=prefix, subject=name, facts=facts).save()
    return token


@transaction.atomic
def revoke(prefix: str, *, by: str | None = None, reason: str = "") -> bool:
    """Stop accepting a key, within `cache.KEPT` seconds. Returns whether it was accepted."""
    if not ApiKey.objects.revoke(prefix):
        return False
    Act.draft("api_keys", "revoke", by=by, reason=reason, target=prefix).save()
    return True
