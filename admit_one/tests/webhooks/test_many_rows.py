"""What the worker, the API and operators ask reads the same few rows after 200,000 deliveries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from admit_one.operators.webhook_pages import OF_ENDPOINT
from admit_one.webhooks import claims, metrics, retention, timeline
from admit_one.webhooks.models import Delivery
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.webhooks.steps import an_endpoint
from tools.system.plans import ROWS, TIMEOUT, fill, large_reads, the_uuid, uuid_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(TIMEOUT),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="only PostgreSQL says how many rows it reads"
    ),
]

DELIVERED, WAITING = 1, 2
AGED = f"now() - ({ROWS} - n) * interval '40 days' / {ROWS}"
A_PAGE = 2_000
LIST = "/webhooks/delivery/"
SOME_FAILED = "CASE n % 20000 WHEN 7 THEN 'failed' ELSE 'delivered' END"


def deliveries(kind: int, endpoint: Any, rows: int, state: str) -> None:
    is_open = state == "pending"
    fill(
        "webhooks_delivery",
        {
            "id": f"({uuid_of(kind)})::uuid",
            "endpoint_id": f"'{endpoint.pk}'::uuid",
            "type": "'thing.made'",
            "subject": f"({uuid_of(kind)})::uuid",
            "body": "'{}'",
            "state": f"'{state}'" if is_open else SOME_FAILED,
            "attempts": "1",
            "tries": "1",
            "created_at": AGED,
            "since": AGED,
            "next_attempt_at": AGED if is_open else "NULL::timestamptz",
            "finished_at": "NULL::timestamptz" if is_open else AGED,
            "last_error": "''",
        },
        rows=rows,
    )


def test_no_question_reads_more_for_deliveries_that_are_done(
    client: Client, log_in: Callable[..., None]
) -> None:
    busy, _ = an_endpoint("https://busy.example.com/")
    disabled, _ = an_endpoint("https://disabled.example.com/")
    deliveries(DELIVERED, busy, ROWS, "delivered")
    deliveries(WAITING, disabled, ROWS // 2, "pending")
    disabled.disabled_at = timezone.now()
    disabled.save()

    def page(**chosen: str) -> Callable[[], Any]:
        rows = Delivery.objects.filter(endpoint=busy, **chosen).order_by("-created_at", "-pk")
        return lambda: list(rows[:50])

    def later_page() -> Any:
        middle = timezone.now() - timedelta(days=20)
        rows = Delivery.objects.filter(endpoint=busy, created_at__lte=middle)
        return list(rows.order_by("-created_at", "-pk")[:50])

    questions: dict[str, Callable[[], Any]] = {
        "what is due": lambda: claims.take(32, []),
        "why": lambda: list(timeline.of(UUID(the_uuid(DELIVERED, ROWS // 2)))),
        "old deliveries": partial(retention.prune, lambda: True),
        "a page of deliveries": page(),
        "a later page": later_page,
        "those that failed": page(state="failed"),
        "those that wait": page(state="pending"),
        "those that were delivered": page(state="delivered"),
        "endpoints": partial(call_command, "webhooks", "list", stdout=StringIO()),
    }
    # What the pages for operators count is capped at 10,000.
    log_in("view_endpoint", "work_on_endpoint")
    of_busy, of_disabled = (f"{LIST}?{OF_ENDPOINT}={each.pk}" for each in (busy, disabled))
    pages = {
        "all endpoints": "/webhooks/endpoint/",
        "an endpoint": f"/webhooks/endpoint/{busy.pk}/change/",
        "an endpoint that has much to wait for": f"/webhooks/endpoint/{disabled.pk}/change/",
        "all deliveries": LIST,
        "deliveries of an endpoint": of_busy,
        "its last page": f"{of_busy}&p=100",
        "its failed deliveries": f"{of_busy}&state=failed",
        "deliveries that wait": f"{of_disabled}&state=pending",
        "search for a webhook": f"{LIST}?q={the_uuid(DELIVERED, ROWS // 2)}",
        "search for nothing": f"{LIST}?q={the_uuid(WAITING + 1, 1)}",
    }
    assert large_reads({name: partial(client.get, url) for name, url in pages.items()}) == {}
    assert large_reads(questions, most=A_PAGE) == {}
    assert large_reads({"metrics": lambda: list(metrics.open_deliveries())}) == {}
