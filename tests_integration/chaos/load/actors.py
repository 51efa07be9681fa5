"""All that use the system during a run."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests_integration.chaos.options import ChaosOptions
from tests_integration.harness.api import Api
from tests_integration.harness.deployment import Deployment

from .clients import Clients
from .operators import Operator
from .patience import Patience
from .platforms import Platforms
from .third_parties import ThirdParties


class Actors:
    """Clients of the payment side, platforms and an operator of the other, and third parties."""

    def __init__(self, deployment: Deployment, student_api: Api, options: ChaosOptions) -> None:
        """`student_api` is the student service's API."""
        payments, place, seed = deployment.payments, deployment.place, options.seed
        visits, acts = (options.visits, options.acts) if options.changes else (0.0, 0.0)
        self.clients = Clients(payments, options.rate, seed, changes=options.changes)
        self.platforms = Platforms(self.clients, payments, student_api, visits, seed)
        self.operator = Operator(self.clients, student_api, acts, seed)
        self.third_parties = ThirdParties(
            place.wire_url,
            place.backends.prefix,
            options.third_party_rate,
            seed,
            deployment.wire_keys,
        )
        self._all = (self.clients, self.platforms, self.operator, self.third_parties)

    def start(self) -> None:
        for actor in self._all:
            actor.start()

    def close(self) -> None:
        """Begin nothing more; what is in hand continues until it is answered or confirmed."""
        for actor in self._all:
            actor.close()

    def finish(self, seconds: float) -> None:
        """Wait until nothing is in hand. After `seconds` all give up."""
        deadline = time.monotonic() + seconds
        for actor in self._all:
            actor.finish(max(0.0, deadline - time.monotonic()))

    @property
    def anomalies(self) -> list[str]:
        """Answers that nobody should ever get."""
        return [what for patience in self._patiences() for what in patience.anomalies]

    @property
    def requests(self) -> int:
        return sum(patience.requests for patience in self._patiences())

    def _patiences(self) -> Iterator[Patience]:
        yield from (self.clients.patience, self.platforms.patience, self.operator.patience)
