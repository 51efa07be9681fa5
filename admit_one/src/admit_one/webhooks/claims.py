"""Which deliveries a worker takes next: a few of each endpoint that is ready, of none too many.

A claim is a lease. It is committed before the request, and names itself by the number of the
attempt: whoever finishes it later than another worker has taken it over changes nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection

from django.db import transaction
from django.db.models import F

from admit_one.database.clock import now_plus

from .models import Delivery, Endpoint

LEASE = 30.0
"""Seconds after which the worker of an attempt, which takes ten at most, must be dead."""

AT_ONCE = 4
"""Requests that a worker has under way to one endpoint; to one that fails, a single one."""

OF_A_CLIENT = 16
"""Requests that a worker has under way to all endpoints of a client: half of its threads, so that
receivers of one client that are slow or hang leave room for those of the others."""


def take(slots: int, under_way: Collection[Endpoint]) -> list[Delivery]:
    """Claim up to `slots` deliveries, with their endpoints. Several workers may do so at once.

    `under_way` has an endpoint for each request that this worker waits for. Clients with the
    fewest of them come first.
    """
    busy = Counter(endpoint.pk for endpoint in under_way)
    of_client = Counter(endpoint.client for endpoint in under_way)
    with transaction.atomic():
        ready = list(Endpoint.objects.ready())
        random.shuffle(ready)  # so that none is always the last
        ready.sort(key=lambda endpoint: of_client[endpoint.client])
        claimed: list[Delivery] = []
        for endpoint in ready:
            most = (1 if endpoint.failures else AT_ONCE) - busy[endpoint.pk]
            most = min(most, OF_A_CLIENT - of_client[endpoint.client], slots - len(claimed))
            if most > 0:
                taken = _of(endpoint, most)
                of_client[endpoint.client] += len(taken)
                claimed += taken
        Delivery.objects.filter(pk__in=[each.pk for each in claimed]).update(
            attempts=F("attempts") + 1, tries=F("tries") + 1, next_attempt_at=now_plus(LEASE)
        )
    for delivery in claimed:
        delivery.attempts, delivery.tries = delivery.attempts + 1, delivery.tries + 1
    return claimed


def _of(endpoint: Endpoint, most: int) -> list[Delivery]:
    due = Delivery.objects.due().filter(endpoint=endpoint)
    rows = list(due.select_for_update(skip_locked=True)[:most])
    for row in rows:
        row.endpoint = endpoint
    return rows
