"""Follows one paid subscription through both services, from outside.

A step has happened when its row is committed, its mail is in the mailbox, the API shows it, or its
webhook has come.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tools import rest
from tools.system.rows import Rows
from tools.system.system import System

from .webhooks import Receiver, Webhook

CODE = re.compile(r"\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}\b")
LOOK_EVERY = 0.005

PUBLISHED = "SELECT 1 FROM messaging_outbox WHERE subject = ? AND published_at IS NOT NULL"
CAUSED = "SELECT 1 FROM messaging_outbox WHERE subject = ?"
HANDLED = "SELECT 1 FROM messaging_inbox WHERE subject = ?"


class Stuck(Exception):
    """A step did not happen in time; the message says which, and where to find the logs."""


@dataclass(frozen=True)
class Milestone:
    name: str
    what: str
    happened: Callable[[], bool]
    """Looks whether it has happened; that of a step of ours lets it happen."""
    after: str = ""
    """The step that causes it; it is not looked for before that has happened."""


class Journey:
    """Creating it records a subscription; `steps` follows it.

    `keys` are API keys by service. Without `webhooks`, none is waited for.
    """

    def __init__(
        self, system: System, keys: Mapping[str, str], webhooks: Receiver | None = None
    ) -> None:
        self._system = system
        self._keys = keys
        self._webhooks = webhooks
        self._headers = self._key_of("payment_service")
        # A new student each time, because of the daily cap of mails.
        self._person = secrets.token_hex(3)
        self.request: dict[str, Any] = {
            "user_id": f"ada-{self._person}",
            "email": f"ada+{self._person}@example.org",
            "plan": "pro",
            "amount": 4900,
            "currency": "EUR",
        }
        self._posted_at = time.monotonic()
        self.subscription = self._recorded(f"{system.payment_url}/v1/subscriptions")
        self.accepted_after = time.monotonic() - self._posted_at
        self.url = f"{system.payment_url}/v1/subscriptions/{self.subscription['id']}"

    def _key_of(self, service: str) -> dict[str, str]:
        """The headers of a request to this service."""
        return {"Authorization": f"Bearer {self._keys[service]}"}

    def _recorded(self, url: str) -> dict[str, Any]:
        """A new subscription, as the API shows it."""
        recorded: dict[str, Any] = rest.post(url, self.request, self._headers)
        return recorded

    def steps(self, timeout: float = 30) -> Iterator[tuple[Milestone, float]]:
        """Yield each step when it happens, with the seconds since it began. Raises `Stuck`."""
        backends = self._system.backends
        with (
            closing(Rows(backends.payment_database_url)) as payment,
            closing(Rows(backends.student_database_url)) as student,
        ):
            yield from self._follow([*self._milestones(payment, student)], timeout)

    def _milestones(self, payment: Rows, student: Rows) -> Iterator[Milestone]:
        subject = self.subscription["id"]
        yield Milestone(
            "published",
            "payment relay: the broker has confirmed the event",
            lambda: payment.exist(PUBLISHED, subject),
        )
        yield Milestone(
            "code issued",
            "student consumer: code, mail and reply, one commit",
            lambda: student.exist(CAUSED, subject),
            after="published",
        )
        yield Milestone(
            "mail delivered",
            "student Celery worker: the mail server has it",
            lambda: bool(self.mails()),
            after="code issued",
        )
        yield Milestone(
            "code stored",
            "payment consumer: handled the reply",
            lambda: payment.exist(HANDLED, subject),
            after="code issued",
        )
        yield Milestone(
            "shown by the API",
            "payment web: the subscription is active",
            lambda: self.shown()["status"] == "active",
            after="code stored",
        )
        yield from self._webhook("payment_service", "subscription.active", after="code stored")
        yield from self._webhook("payment_service", "subscription.mailed", after="mail delivered")

    def _webhook(self, service: str, type: str, after: str) -> Iterator[Milestone]:  # noqa: A002
        """The step that this webhook comes; none if nobody waits for webhooks."""
        webhooks, subject = self._webhooks, self.subscription["id"]
        if webhooks is not None:
            shown = str(Webhook(service, type, {}))
            yield Milestone("webhook", shown, lambda: webhooks.has(service, type, subject), after)

    def _follow(self, steps: list[Milestone], timeout: float) -> Iterator[tuple[Milestone, float]]:
        pending, seen = steps, {""}
        while pending:
            waiting = []
            for step in pending:
                if step.after in seen and step.happened():
                    seen.add(step.name)
                    yield step, time.monotonic() - self._posted_at
                else:
                    waiting.append(step)
            pending = waiting
            if pending:
                self._raise_if_stuck(pending, timeout)
                time.sleep(LOOK_EVERY)

    def _raise_if_stuck(self, pending: list[Milestone], timeout: float) -> None:
        missing = ", ".join(f"{step.name} ({step.what})" for step in pending)
        for process in self._system.ended():
            raise Stuck(
                f"Did not happen: {missing}. {process.name} ended "
                f"with exit code {process.exit_code}. {process.last_lines()}"
            )
        if time.monotonic() - self._posted_at > timeout:
            raise Stuck(
                f"Did not happen within {timeout:.0f} s: {missing}. "
                f"The logs of all processes are in {self._system.folder / 'logs'}"
            )

    def mails(self) -> list[dict[str, str]]:
        """The student's mails, newest first."""
        mails: list[dict[str, str]] = rest.get(f"{self._system.mail_url}/api/messages")
        return [mail for mail in mails if self.request["email"] in mail["to"]]

    def shown(self) -> dict[str, str]:
        """The subscription as the payment API shows it."""
        shown: dict[str, str] = rest.get(self.url, self._headers)
        return shown

    def codes(self) -> tuple[list[str], str]:
        """The access codes in the student's mails, and the one in the payment API."""
        mailed = [code for mail in self.mails() for code in CODE.findall(mail["text"])]
        return mailed, self.shown()["access_code"]


class Checkout(Journey):
    """The same, of somebody who pays at Stripe and then redeems the code.

    The seconds hold the start of the command.
    """

    def _recorded(self, url: str) -> dict[str, Any]:
        """Have Stripe report a paid checkout, as `manage.py fake_stripe_event` makes it."""
        self._system.manage(
            "payment_service",
            *("fake_stripe_event", "checkout.session.completed", "--live", "--sale", self._person),
            *("--user-id", self.request["user_id"], "--email", self.request["email"]),
            *("--plan", self.request["plan"], "--amount", str(self.request["amount"])),
            *("--url", f"{self._system.payment_url}/v1/webhooks/stripe"),
        )
        matches = rest.get(f"{url}?reference=cs_live_{self._person}", self._headers)["results"]
        if not matches:
            raise Stuck("Stripe's checkout was taken, and the API shows no subscription of it")
        recorded: dict[str, Any] = matches[0]
        return recorded

    def _milestones(self, payment: Rows, student: Rows) -> Iterator[Milestone]:
        yield from super()._milestones(payment, student)
        yield Milestone(
            "code redeemed",
            "student web: a platform sent the code of the mail",
            self._redeem,
            after="mail delivered",
        )
        yield from self._webhook("student_service", "access.redeemed", after="code redeemed")
        yield from self._webhook("payment_service", "subscription.redeemed", after="code redeemed")

    def _redeem(self) -> bool:
        """Redeem the code of the mail. Raises `Stuck` if it does not let in."""
        [code] = CODE.findall(self.mails()[0]["text"])
        answer = rest.post(
            f"{self._system.student_url}/v1/access-codes/redeem",
            {"code": code, "reference": self._person},
            self._key_of("student_service"),
        )
        if not answer["valid"]:
            raise Stuck(f"The student service does not let the code in: {answer['reason']}")
        return True
