"""An operator of the student side suspends, reinstates and replaces codes."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import partial
from http import HTTPStatus

from tests_integration.harness.api import Api
from tools.rest import Response

from .clients import Clients
from .patience import Patience
from .threads import Threads

REPLACED = 0.5
"""Share of acts that replace a code; the others suspend it."""

REINSTATED = 0.7
"""Share of suspensions that are lifted again."""


class Operator:
    """A thread that acts on codes of the clients' subscriptions, `rate` times a second."""

    def __init__(
        self, clients: Clients, student_api: Api, rate: float, seed: int, erased: set[str]
    ) -> None:
        """`student_api` is the student service's API; `erased` as for `Clients`."""
        self._clients = clients
        self._erased = erased
        self._student_api = student_api
        self._pause = 1 / rate if rate else 0.0
        self._draw = random.Random(f"operator {seed}")
        self.patience = Patience(erased)
        self.threads = Threads(self.patience.give_up)
        self.threads.add("operator", self._work, 1 if rate else 0)
        self.suspended: set[str] = set()
        """Subscriptions that are suspended and not reinstated."""
        self.replaced: defaultdict[str, set[str]] = defaultdict(set)
        """Codes that were replaced, by subscription."""

    def _work(self) -> None:
        while not self.threads.closed.wait(self._pause):
            if subscription := self._clients.any():
                self._act_on(subscription)

    def _act_on(self, subscription: str) -> None:
        shown = self.patience.once(partial(self._student_api.call, "GET", self._path(subscription)))
        if shown is None or shown.status == HTTPStatus.NOT_FOUND or subscription in self._erased:
            return  # it is not issued yet, or gone
        if self._draw.random() < REPLACED:
            self._replace(subscription, shown.body["access_code"])
        else:
            self._suspend(subscription, shown.body["access_code"])

    def _replace(self, subscription: str, code: str) -> None:
        replaced = self._act(subscription, "replace", HTTPStatus.CONFLICT)
        if replaced is None or replaced.status == HTTPStatus.CONFLICT:
            return  # a revoked code cannot be replaced
        self.replaced[subscription].add(code)
        self._expect_closed(code, "it was replaced")

    def _suspend(self, subscription: str, code: str) -> None:
        if self._act(subscription, "suspend") is None:
            return
        self.suspended.add(subscription)
        self._expect_closed(code, "it was suspended")
        reinstates = self._draw.random() < REINSTATED
        if reinstates and self._act(subscription, "reinstate") is not None:
            self.suspended.discard(subscription)

    def _act(self, subscription: str, action: str, *also: int) -> Response | None:
        """Act on the code that works now; none if the operator gave up."""
        path = f"{self._path(subscription)}/{action}"
        send = partial(self._student_api.call, "POST", path, {"reason": "chaos"})
        return self.patience.until_answered(path, send, {HTTPStatus.OK, *also}, about=subscription)

    def _path(self, subscription: str) -> str:
        return f"/v1/access-codes/{subscription}.{len(self.replaced[subscription]) + 1}"

    def _expect_closed(self, code: str, why: str) -> None:
        ask = partial(self._student_api.call, "POST", "/v1/access-codes/validate", {"code": code})
        answer = self.patience.until_answered("a question", ask, {HTTPStatus.OK})
        if answer is not None and answer.body["valid"]:
            self.patience.note(f"a code lets in although {why}")
