"""`manage.py api_key create|list|revoke`: who may call the API."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction

from admit_one.acts.models import Act
from admit_one.processes.service_command import ServiceCommand
from admit_one.web.models import ApiKey

CLIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SPELLING = "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
"""One spelling for each name: two clients whose names look alike would be taken for one another.

A name that a client has from before may get further keys.
"""

KEY_OR_PREFIX = re.compile(r"(admit_)?(?P<prefix>[0-9a-f]{12})(_.*)?")


class Command(ServiceCommand):
    help = "Create, list and revoke API keys. A new key is printed once and cannot be shown again."
    requires_system_checks = ()  # importing every view takes longer than this command

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="print a new key")
        create.add_argument(
            "--name", required=True, help=f"the client, which will own what it creates: {SPELLING}"
        )
        actions.add_parser("list", help="list the keys' prefixes, clients and dates")
        revoke = actions.add_parser("revoke", help="stop accepting a key")
        revoke.add_argument(
            "key", help="the twelve characters after admit_, or the whole key, which is not printed"
        )

    def handle(self, *, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _create(self, *, name: str, **_: Any) -> None:
        if name in getattr(settings, "API_RESERVED_CLIENTS", ()):
            raise CommandError(f"--name: expected another name, as this service uses {name!r}")
        if not CLIENT.fullmatch(name) and not ApiKey.objects.filter(client=name).exists():
            raise CommandError(f"--name: expected {SPELLING}")
        with transaction.atomic():
            key = ApiKey.objects.issue(name)
            prefix = key.removeprefix("admit_")[:12]
            Act.draft("api_keys", "create", target=prefix, subject=name).save()
            # In the transaction: nobody shall have a key that could not be shown.
            self.stdout.write(key)
            self.stdout.flush()

    def _list(self, **_: Any) -> None:
        for key in ApiKey.objects.order_by("client", "id"):
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "valid"
            self.stdout.write(f"{key.prefix}  {key.created_at:%Y-%m-%d}  {state}  {key.client}")

    def _revoke(self, *, key: str, **_: Any) -> None:
        parts = KEY_OR_PREFIX.fullmatch(key.strip())
        prefix = parts["prefix"] if parts else ""
        with transaction.atomic():
            if not ApiKey.objects.revoke(prefix):  # what was given may be a secret
                raise CommandError(
                    "expected a key that is still accepted, or its prefix; "
                    "see manage.py api_key list"
                )
            Act.draft("api_keys", "revoke", target=prefix).save()
        self.stdout.write(f"{prefix} is no longer accepted")
