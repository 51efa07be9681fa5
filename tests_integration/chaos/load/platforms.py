"""Learning platforms redeem codes, and repeat some redemptions although they were answered."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from functools import partial
from http import HTTPStatus
from itertools import count
from typing import Any

from tests_integration.harness.api import Api
from tests_integration.harness.payments import Payments

from .clients import Clients
from .patience import Patience
from .threads import Threads

AT_ONCE = 2
"""Platforms; they often have the same code at the same time."""

SENT_TWICE = 0.2
"""Share of redemptions that are sent again although they were answered."""

AGAIN = 0.6
"""Share of redemptions of a subscription whose code was redeemed a moment ago."""

REMEMBERED = 3


class Platforms:
    """Threads that redeem the codes of the clients' subscriptions, `rate` a second."""

    def __init__(
        self,
        clients: Clients,
        payments: Payments,
        student_api: Api,
        rate: float,
        seed: int,
        *,
        erased: set[str],
    ) -> None:
        """`student_api` is the student service's API; `erased` as for `Clients`."""
        self._clients = clients
        self._payments = payments
        self._student_api = student_api
        self._pause = AT_ONCE / rate if rate else 0.0
        self._draw = random.Random(f"platforms {seed}")
        self._recent: deque[str] = deque(maxlen=REMEMBERED)
        self._numbers = count(1)
        self.patience = Patience(erased)
        self.redeemed: defaultdict[str, set[str]] = defaultdict(set)
        """References of the redemptions that let in, by subscription."""
        self.threads = Threads(self.patience.give_up)
        self.threads.add("platform", self._work, AT_ONCE if rate else 0)

    def _work(self) -> None:
        while not self.threads.closed.wait(self._pause):
            if subscription := self._next():
                self._visit(subscription)

    def _next(self) -> str:
        recent = list(self._recent)
        if recent and self._draw.random() < AGAIN:
            return self._draw.choice(recent)
        return self._clients.any()

    def _visit(self, subscription: str) -> None:
        show = partial(self._payments.call, "GET", f"/v1/subscriptions/{subscription}")
        shown = self.patience.once(show)
        if shown is None or shown.body["access_code"] is None:
            return
        self._recent.append(subscription)
        reference = f"visit-{next(self._numbers)}"
        answer = self._redeem(subscription, shown.body["access_code"], reference)
        if not answer.get("valid"):
            return
        self.redeemed[subscription].add(reference)
        if answer["subscription_id"] != subscription:
            self.patience.note(f"the code of {subscription} let in another subscription")
        if shown.body["code_revoked_at"] is not None:
            self.patience.note(f"{subscription} was redeemed after its revocation was confirmed")
        if self._draw.random() < SENT_TWICE:
            self._redeem(subscription, shown.body["access_code"], reference)

    def _redeem(self, subscription: str, code: str, reference: str) -> dict[str, Any]:
        """The answer; empty if the platforms gave up."""
        question = {"code": code, "reference": reference}
        send = partial(self._student_api.call, "POST", "/v1/access-codes/redeem", question)
        answer = self.patience.until_answered(
            "a redemption", send, {HTTPStatus.OK}, about=subscription
        )
        return {} if answer is None else dict(answer.body)
