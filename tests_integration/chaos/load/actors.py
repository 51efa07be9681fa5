"""All that use the system during a run."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import chain
from typing import Self

from tests_integration.chaos.options import ChaosOptions
from tests_integration.chaos.stage.system import SHOP
from tests_integration.harness.api import Api
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.payments import Payments

from .clients import Clients
from .erasures import Erasures
from .operators import Operator
from .patience import Patience
from .platforms import Platforms
from .stripe import Stripe
from .third_parties import ThirdParties
from .webhooks import ACCEPTING, NEVER, Receiver, Receivers

FREQUENT = {"subscription.active", "subscription.mailed"}
"""Of these, only the shop hears, whose sales are few: each order of a client causes both."""

EVENTS = {
    "payment_service": FREQUENT
    | {
        "subscription.past_due",
        "subscription.cancelled",
        "subscription.refunded",
        "subscription.renewed",
        "subscription.redeemed",
        "order.completed",
    },
    "student_service": {
        "access.redeemed",
        "access.revoked",
        "access.suspended",
        "access.reinstated",
        "access.replaced",
    },
}
"""What good receivers listen to."""

RARE = {
    "payment_service": {"subscription.cancelled", "subscription.refunded"},
    "student_service": {"access.revoked", "access.suspended"},
}
"""What all others listen to."""


OF_THE_SHOP = 0.3
"""Share of erased persons who have bought through Stripe."""


class Actors:
    """Clients of both sides and their receivers of webhooks, Stripe, an operator, third parties,
    and those who erase persons.

    Leaving the `with` block ends the receivers.
    """

    def __init__(self, deployment: Deployment, student_api: Api, options: ChaosOptions) -> None:
        """`student_api` is the student service's API."""
        payments, place, seed = deployment.payments, deployment.place, options.seed
        visits, acts = (options.visits, options.acts) if options.changes else (0.0, 0.0)
        erased = self.erased = set[str]()
        self.clients = Clients(payments, options.rate, seed, erased, changes=options.changes)
        self.platforms = Platforms(self.clients, payments, student_api, visits, seed, erased=erased)
        self.operator = Operator(self.clients, student_api, acts, seed, erased)
        self.stripe = _stripe(deployment, options, erased)
        self.erasures = Erasures(
            deployment.system,
            self._any,
            erased,
            options.erasures if options.changes else 0.0,
            seed,
        )
        self.third_parties = ThirdParties(
            place.wire_url,
            place.backends.prefix,
            options.third_party_rate,
            seed,
            deployment.wire_keys,
        )
        self.receivers = Receivers()
        self._draw = random.Random(f"persons {seed}")
        self._apis = {
            ("payment_service", "local"): payments,
            ("payment_service", SHOP): self.stripe.shop,
            ("student_service", "platform"): student_api,
        }
        self._threads = [
            actor.threads
            for actor in (
                self.clients,
                self.platforms,
                self.operator,
                self.stripe,
                self.third_parties,
                self.erasures,
            )
        ]

    def __enter__(self) -> Self:
        self.receivers.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.receivers.__exit__()

    def start(self) -> None:
        """Have all receivers listen, and begin."""
        for (service, client), api in self._apis.items():
            self._listen(api, service, client)
        for threads in self._threads:
            threads.start()

    def close(self) -> None:
        """Begin nothing more; what is in hand continues until it is answered or confirmed."""
        for threads in self._threads:
            threads.close()

    def finish(self, seconds: float) -> None:
        """Wait until nothing is in hand. After `seconds` all give up."""
        deadline = time.monotonic() + seconds
        for threads in self._threads:
            threads.finish(max(0.0, deadline - time.monotonic()))

    @property
    def anomalies(self) -> list[str]:
        """Answers that nobody should ever get."""
        of_clients = chain.from_iterable(each.anomalies for each in self._patiences())
        return [*of_clients, *self.erasures.anomalies]

    @property
    def requests(self) -> int:
        return sum(patience.requests for patience in self._patiences())

    def texts_of_erased(self) -> list[str]:
        """What may be left nowhere: users, who are named in all else, and codes."""
        clients, stripe, texts = self.clients, self.stripe, set[str]()
        for subscription in self.erased:
            texts |= {clients.codes.get(subscription, ""), stripe.users.get(subscription, "")}
            texts |= self.operator.replaced.get(subscription, set())
            if subscription in clients.accepted:
                texts |= {str(clients.accepted[subscription].body["user_id"])}
        return sorted(texts - {""})

    def _patiences(self) -> Iterator[Patience]:
        for actor in (self.clients, self.platforms, self.operator, self.stripe):
            yield actor.patience

    def _any(self) -> str:
        """Somebody's subscription, of the clients' or of Stripe's."""
        is_of_shop = self._draw.random() < OF_THE_SHOP
        return self.stripe.any() if is_of_shop else self.clients.any()

    def _listen(self, api: Api, service: str, client: str) -> None:
        if client == SHOP:
            self.receivers.listen(api, Receiver(service, client, "good"), EVENTS[service])
            return
        good, *others = (*ACCEPTING, *NEVER)
        self.receivers.listen(api, Receiver(service, client, good), EVENTS[service] - FREQUENT)
        for name in others:
            self.receivers.listen(api, Receiver(service, client, name), RARE[service])


def _stripe(deployment: Deployment, options: ChaosOptions, erased: set[str]) -> Stripe:
    system = deployment.system
    shop = Payments(system.payment_url, system.new_api_key(SHOP))
    secret = system.environment("payment_service")["STRIPE_WEBHOOK_SECRETS"]
    sales = options.sales if options.changes else 0.0
    return Stripe(shop, system.payment_url, secret, sales, options.seed, erased=erased)
