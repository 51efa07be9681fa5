"""`manage.py fake_stripe_event TYPE`: signs an event as Stripe does, and sends it to us."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from http.client import HTTPException
from secrets import token_hex
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from admit_one.processes import ServiceCommand
from django.conf import settings
from django.core.management.base import CommandError

from providers.fake_stripe import OBJECTS, Sale, event, signature, written

EXAMPLES = """
examples:
  manage.py fake_stripe_event checkout.session.completed --sale a1 --email ada@example.org
  manage.py fake_stripe_event invoice.paid --sale a1                 its first period is paid
  manage.py fake_stripe_event invoice.payment_failed --sale a1 --period 2
  manage.py fake_stripe_event invoice_payment.paid --sale a1         which payment that was
  manage.py fake_stripe_event charge.refunded --sale a1              all of it was paid back
  manage.py fake_stripe_event charge.dispute.closed --sale a1        it was lost
  manage.py fake_stripe_event customer.subscription.deleted --sale a1
  manage.py fake_stripe_event checkout.session.completed --mode payment --signed-ago 360
  manage.py fake_stripe_event charge.refunded --sale a1 --print      its body, and send nothing

Events of one --sale have the same ids on the same day, so the same command twice is one event.
They are about no real money, unless --live: then they are as good as a payment.

exit code: 0 it was taken (200), 1 it was refused or there was no answer, 2 wrong usage
"""
TIMEOUT = 30.0
"""Seconds, as long as Stripe waits at most."""


class Command(ServiceCommand):
    help = "Make an event as Stripe sends it, sign it, and send it to this service's web process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("type", choices=OBJECTS, metavar="TYPE", help=", ".join(OBJECTS))
        parser.add_argument("--sale", default="", help="a word in all of its ids (default: random)")
        parser.add_argument("--mode", choices=("subscription", "payment"), default="subscription")
        parser.add_argument("--period", type=int, default=1, help="1 is the first (default)")
        parser.add_argument("--live", action="store_true", help="as if about real money")
        parser.add_argument("--user-id", default="user-42", help="empty: left out")
        parser.add_argument("--email", default="ada@example.com", help="empty: left out")
        parser.add_argument("--plan", default="gold", help="empty: left out")
        parser.add_argument("--amount", type=int, default=4900, help="in minor units")
        parser.add_argument("--currency", default="eur")
        parser.add_argument(
            "--unpaid", action="store_true", help="a checkout that is to be paid later"
        )
        parser.add_argument("--refunded", type=int, help="the amount paid back (default: all)")
        parser.add_argument(
            "--status", default="", help="of a dispute, such as won (default: lost)"
        )
        parser.add_argument("--api-version", default="", help="of the event (default: ours)")
        parser.add_argument("--signed-ago", type=int, default=0, help="seconds")
        parser.add_argument(
            "--url",
            default="http://127.0.0.1:8000/v1/webhooks/stripe",
            help="where to send it (default: %(default)s)",
        )
        parser.add_argument("--print", action="store_true", help="print the body, and send nothing")

    def handle(self, **given: Any) -> None:
        options = {name: given[name] for name in ("period", "refunded", "status")}
        made = event(given["type"], _sale(given), **options)
        if given["api_version"]:
            made["api_version"] = given["api_version"]
        body = written(made)
        if given["print"]:
            self.stdout.write(body.decode())
            return
        if not settings.STRIPE_WEBHOOK_SECRETS:
            raise CommandError("expected STRIPE_WEBHOOK_SECRETS, with which it would be signed")
        header = signature(body, settings.STRIPE_WEBHOOK_SECRETS[0], ago=given["signed_ago"])
        status, answer = _post(given["url"], body, header)
        self.stdout.write(f"{made['id']}: {status} {answer}")
        if status != 200:
            raise CommandError("it was not taken")


def _sale(given: dict[str, Any]) -> Sale:
    return Sale(
        name=given["sale"] or token_hex(4),
        mode=given["mode"],
        live=given["live"],
        user_id=given["user_id"] or None,
        email=given["email"] or None,
        plan=given["plan"] or None,
        amount=given["amount"],
        currency=given["currency"],
        paid="unpaid" if given["unpaid"] else "paid",
    )


def _post(url: str, body: bytes, header: str) -> tuple[int, str]:
    """Status and body of the answer. Raises `CommandError` if there is none."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise CommandError("--url: expected http:// or https://", returncode=2)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header}
    request = Request(url, body, headers)  # noqa: S310 (checked above)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except (URLError, HTTPException, OSError) as error:
        raise CommandError(f"no answer from {url}: {error}") from None
