"""`manage.py api_key create|list|revoke`: who may call the API."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from admit_one.acts.models import Act
from admit_one.acts.who import login
from admit_one.web.models import ApiKey


class Command(BaseCommand):
    help = "Create, list and revoke API keys. A new key is printed once and cannot be shown again."
    requires_system_checks = ()  # to import every view takes longer than this command

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="print a new key")
        create.add_argument("--name", required=True, help="the client, who owns what it creates")
        actions.add_parser("list", help="the keys' prefixes, clients and dates")
        revoke = actions.add_parser("revoke", help="refuse a key from now on")
        revoke.add_argument("prefix", help="the twelve characters after admit_")

    def handle(self, *, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _create(self, *, name: str, **_: Any) -> None:
        if not name.isprintable() or not 1 <= len(name.strip()) <= 64:
            raise CommandError("--name: expected 1 to 64 visible characters")
        with transaction.atomic():
            key = ApiKey.objects.issue(name.strip())
            prefix = key.removeprefix("admit_")[:12]
            Act.draft(
                "api_keys", "create", by=login(), reason="", target=prefix, subject=name.strip()
            ).save()
        self.stdout.write(key)

    def _list(self, **_: Any) -> None:
        for key in ApiKey.objects.order_by("client", "id"):
            state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "valid"
            self.stdout.write(f"{key.prefix}  {key.created_at:%Y-%m-%d}  {state}  {key.client}")

    def _revoke(self, *, prefix: str, **_: Any) -> None:
        with transaction.atomic():
            if not ApiKey.objects.revoke(prefix):
                raise CommandError(f"expected the prefix of a valid key, got {prefix!r}")
            Act.draft("api_keys", "revoke", by=login(), reason="", target=prefix).save()
        self.stdout.write(f"{prefix} is refused from now on")
