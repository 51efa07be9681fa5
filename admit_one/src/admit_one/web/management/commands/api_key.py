"""`manage.py api_key create|list|revoke`: who may call the API, and what for."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from admit_one.processes.service_command import ServiceCommand
from admit_one.web.keys import issuing
from admit_one.web.keys.cache import KEPT
from admit_one.web.keys.scopes import SCOPES
from admit_one.web.models import ApiKey

KEY_OR_PREFIX = re.compile(r"(admit_)?(test_)?(?P<prefix>[0-9a-f]{12})(_.*)?")

COLUMNS = ("prefix", "client", "state", "expires", "last use (UTC)", "created", "for", "scopes")

EXAMPLES = """
A key that may do all that the payment service offers, and one that may only look:

  manage.py api_key create --name shop \\
      --scope subscriptions:read subscriptions:write codes:read webhooks
  manage.py api_key create --name shop --scope subscriptions:read --expires 2027-01-01

A second key of a client that changes its key; then the first is revoked:

  manage.py api_key create --name shop --scope subscriptions:read
  manage.py api_key list
  manage.py api_key revoke 3f9a12c07b5e

Scopes:

"""


class Command(ServiceCommand):
    help = "Create, list and revoke API keys. A new key is printed once and cannot be shown again."
    requires_system_checks = ()  # importing every view takes longer than this command

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        width = max(map(len, SCOPES))
        create = actions.add_parser(
            "create",
            help="print a new key",
            formatter_class=RawDescriptionHelpFormatter,
            epilog=EXAMPLES + "\n".join(f"  {s:<{width}}  {does}" for s, does in SCOPES.items()),
        )
        create.add_argument(
            "--name",
            required=True,
            help=f"the client, which will own what it creates: {issuing.SPELLING}",
        )
        create.add_argument(
            "--scope",
            required=True,
            nargs="+",
            action="extend",
            choices=list(SCOPES),
            metavar="SCOPE",
            help="what the key may do, one or more of those below",
        )
        create.add_argument(
            "--expires",
            type=_day,
            metavar="YYYY-MM-DD",
            help="the first day (UTC) on which it is no longer accepted (default: it does not end)",
        )
        create.add_argument(
            "--test",
            action="store_true",
            help="a key for the client's tests: it begins with admit_test_, and what it creates "
            "is marked",
        )
        actions.add_parser("list", help="list the keys: clients, scopes, expiry and last use")
        revoke = actions.add_parser("revoke", help=f"stop accepting a key, within {KEPT:.0f} s")
        revoke.add_argument(
            "key",
            help="the twelve characters after admit_ or admit_test_, or the whole key, which is "
            "not printed",
        )

    def handle(self, *, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _create(
        self, *, name: str, scope: Sequence[str], expires: date | None, test: bool, **_: Any
    ) -> None:
        with transaction.atomic():
            try:
                token = issuing.issue(name, scope, expires=expires, test=test)
            except issuing.NotIssued as error:
                raise CommandError(f"--{error.field}: {error}") from None
            # In the transaction: nobody shall have a key that could not be shown.
            self.stdout.write(token)
            self.stdout.flush()

    def _list(self, **_: Any) -> None:
        keys = [_row(key) for key in ApiKey.objects.order_by("client", "id")]
        for line in _aligned([COLUMNS, *keys] if keys else []):
            self.stdout.write(line)

    def _revoke(self, *, key: str, **_: Any) -> None:
        parts = KEY_OR_PREFIX.fullmatch(key.strip())
        prefix = parts["prefix"] if parts else ""
        if not issuing.revoke(prefix):  # what was given may be a secret
            raise CommandError(
                "expected a key that is still accepted, or its prefix; see manage.py api_key list"
            )
        self.stdout.write(f"{prefix} is no longer accepted")


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a day has no zone)
    except ValueError:
        raise ArgumentTypeError("expected a day, such as 2027-01-01") from None


def _row(key: ApiKey) -> tuple[str, ...]:
    state = key.state(timezone.now())
    return (
        key.prefix,
        key.client,
        f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else state,
        f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
        f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "none",
        f"{key.created_at:%Y-%m-%d}",
        "test" if key.test else "use",
        key.scopes or "none",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
