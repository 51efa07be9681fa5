"""`manage.py webhooks list|deliveries|resend|disable|enable`: for operators."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db.models import QuerySet

from admit_one.acts.who import person
from admit_one.masking import harmless
from admit_one.processes import ServiceCommand
from admit_one.webhooks import by_hand
from admit_one.webhooks.endpoints import NotPossible
from admit_one.webhooks.models import Delivery, Endpoint

EXAMPLES = """
examples:
  manage.py webhooks list                               the endpoints of all clients
  manage.py webhooks deliveries ENDPOINT --state failed  what was given up
  manage.py webhooks resend WEBHOOK WEBHOOK --reason "their database was away"
  manage.py webhooks resend --endpoint ENDPOINT --state failed --dry-run --reason "a week off"
  manage.py webhooks disable ENDPOINT --reason "it is not theirs"
  manage.py webhooks enable ENDPOINT --reason "they have mended it"

A webhook is sent again with the same webhook-id. URLs are shown without their paths, which may
hold a secret of the receiver. With --dry-run nothing is changed.
"""
MAX_LINES = 100


class Command(ServiceCommand):
    help = "List webhook endpoints and deliveries; send again, disable or enable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="list the endpoints of all clients")
        deliveries = actions.add_parser("deliveries", help="list what is sent to an endpoint")
        deliveries.add_argument("endpoint", type=UUID, help="its id, as `list` shows it")
        deliveries.add_argument("--state", choices=Delivery.State.values)
        resend = actions.add_parser("resend", help="send webhooks again now")
        resend.add_argument("webhook", nargs="*", type=UUID, help="as `deliveries` shows it")
        resend.add_argument("--endpoint", type=UUID, help="all of this endpoint in --state")
        resend.add_argument("--state", choices=Delivery.State.values)
        resend.add_argument("--dry-run", action="store_true", help="list them, and change nothing")
        disable = actions.add_parser("disable", help="send nothing to an endpoint")
        enable = actions.add_parser("enable", help="send to an endpoint again")
        for decision in (disable, enable):
            decision.add_argument("endpoint", type=UUID, help="its id, as `list` shows it")
        for decision in (resend, disable, enable):
            decision.add_argument("--reason", required=True, help="why; kept on record")
            decision.add_argument(
                "--by", type=person, help="who decided it (default: your login name)"
            )

    def handle(self, *, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, **_: Any) -> None:
        rows = by_hand.existing()
        for endpoint in rows:
            self.stdout.write(harmless(_line(endpoint)))
        if not rows:
            self.stdout.write("there is no webhook endpoint")

    def _deliveries(self, *, endpoint: UUID, state: str | None, **_: Any) -> None:
        self._show(by_hand.deliveries(endpoint, state))

    def _show(self, rows: QuerySet[Delivery]) -> None:
        shown = list(rows[: MAX_LINES + 1])
        for row in shown[:MAX_LINES]:
            due = f"due {row.next_attempt_at:%m-%d %H:%M:%S}" if row.next_attempt_at else ""
            self.stdout.write(
                f"{row.pk}  {row.type}  {row.state}  {row.attempts} attempts  {due}  "
                f"{harmless(row.last_error)}".rstrip()
            )
        if len(shown) > MAX_LINES:
            self.stdout.write("and more")
        if not shown:
            self.stdout.write("there is no such webhook")

    def _resend(
        self,
        *,
        webhook: Sequence[UUID],
        endpoint: UUID | None,
        state: str | None,
        dry_run: bool,
        by: str | None,
        reason: str,
        **_: Any,
    ) -> None:
        if bool(webhook) == bool(endpoint and state):
            raise CommandError("expected either ids of webhooks, or --endpoint and --state")
        rows: QuerySet[Delivery] = Delivery.objects.filter(pk__in=webhook)
        if endpoint is not None:
            rows = by_hand.deliveries(endpoint, state)
        if dry_run:
            self._show(rows)
            return
        ids = list(webhook) or list(rows.values_list("pk", flat=True))
        for webhook_id in ids:
            self._decide(by_hand.resend, webhook_id, by, reason)
        self.stdout.write(f"{len(ids):,} webhooks are due again")

    def _disable(self, *, endpoint: UUID, by: str | None, reason: str, **_: Any) -> None:
        self._decide(by_hand.disable, endpoint, by, reason)
        self.stdout.write(f"{endpoint} is disabled")

    def _enable(self, *, endpoint: UUID, by: str | None, reason: str, **_: Any) -> None:
        self._decide(by_hand.enable, endpoint, by, reason)
        self.stdout.write(f"{endpoint} is enabled")

    def _decide(self, decide: Any, row_id: UUID, by: str | None, reason: str) -> None:
        try:
            decide(row_id, by=by, reason=reason)
        except NotPossible as error:
            raise CommandError(str(error)) from None


def _line(endpoint: Endpoint) -> str:
    test = "test  " if endpoint.test else ""
    where, standing = by_hand.where(endpoint), by_hand.standing(endpoint)
    return (
        f"{endpoint.pk}  {endpoint.client}  {test}{where}  {standing}  {' '.join(endpoint.events)}"
    )
