"""What the API, commands and tasks ask reads the same few rows after 200,000 subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from admit_one.erasure import erasing, library, requests
from admit_one.erasure.definition import Person
from admit_one.messaging.why import timeline
from admit_one.web.models import IdempotencyKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from providers import persons as of_events
from providers import retention
from providers.erasing import erase
from providers.metrics import open_events
from providers.models import ProviderEvent, ProviderLink, ProviderPerson
from shared_contracts.events import Position
from subscriptions import code_requests, ending, metrics, persons
from subscriptions.completion import complete
from subscriptions.models import CODE_PURPOSE, Order, ReconciliationRun, Subscription
from subscriptions.reconciliation import checksums, runs

from tests.conftest import Api
from tools.system.plans import ROWS, TIMEOUT, fill, large_reads, the_uuid, uuid_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(TIMEOUT),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="only PostgreSQL says how many rows it reads"
    ),
]

PAID, RUN, ORDER, EVENT, NAMED = 1, 2, 3, 4, 5
RUNS = 2_000
MIDDLE = ROWS // 2
AGED = f"now() - ({ROWS} - n) * interval '40 days' / {ROWS}"


SEATS, ORDERS = 500, ROWS // 1_000
OF_SEAT = uuid_of(ORDER).replace("to_hex(n)", f"to_hex(n % {ORDERS} + 1)")

A_PAGE = 2_000
"""Rows that one request to the API may read: a page, and what a plan passes over on the way."""


def make() -> None:
    with connection.cursor() as cursor:  # the trigger would make all of them new
        cursor.execute("ALTER TABLE subscriptions_subscription DISABLE TRIGGER USER")
    # In the first format, which names no row: one value for all rows.
    key, nonce = settings.SEALING_KEYS["test"], bytes(12)
    code = AESGCM(key).encrypt(nonce, b"7K3M-Q9TX-2WBD-H5RN", CODE_PURPOSE.encode())
    sealed = (b"\x04test" + nonce + code).hex()
    fill(
        "subscriptions_order",
        {
            "id": f"({uuid_of(ORDER)})::uuid",
            "client": "'shop'",
            "test": "false",
            "reference": "CASE n % 2 WHEN 0 THEN 'PO-' || n END",
            "seats": str(SEATS),
            "created_at": AGED,
            "completed_at": AGED,
        },
        rows=ORDERS,
    )
    fill(
        "subscriptions_subscription",
        {
            "id": f"({uuid_of(PAID)})::uuid",
            "client": "CASE n % 1000 WHEN 0 THEN 'other shop' ELSE 'shop' END",
            "user_id": "'user-' || n",
            "email": "CASE n % 20000 WHEN 0 THEN 'grace' ELSE 'ada' END || '@example.com'",
            "plan": "CASE n % 20000 WHEN 1 THEN 'rare' ELSE 'gold' END",
            "amount": "4900",
            "currency": "'EUR'",
            "order_id": f"CASE n % 2 WHEN 0 THEN ({OF_SEAT})::uuid END",
            "reference": "CASE n % 2 WHEN 0 THEN 'seat-' || n END",
            "created_at": AGED,
            "updated_at": AGED,
            # The oldest wait, the newest are cancelled: who looks for others passes over many.
            "access_code": f"CASE WHEN n > 50 THEN '\\x{sealed}'::bytea END",
            "cancelled_at": f"CASE WHEN n > {MIDDLE} THEN {AGED} END",
            "code_revoked_at": f"CASE WHEN n > {MIDDLE} THEN {AGED} END",
            "code_issued_at": AGED,
            "first_request_id": uuid_of(PAID),
            "last_request_id": uuid_of(PAID),
            "requests": "1",
            "next_request_at": AGED,
            "valid_until": f"CASE n % 10 WHEN 3 THEN {AGED} END",
            "end_reported": f"n < {ROWS} - 100",
            # The oldest wait for an answer; nearly all others once did.
            "resend_version": "1",
            "resend_answered": "CASE WHEN n > 50 THEN 1 ELSE 0 END",
            "resend_next_at": f"CASE WHEN n <= 50 THEN {AGED} END",
        },
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE subscriptions_subscription ENABLE TRIGGER USER")
    fill(
        "subscriptions_metadataentry",
        {
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "client": "'shop'",
            "key": "CASE n % 2 WHEN 0 THEN 'course' ELSE 'seat' END",
            "value": "CASE n % 2 WHEN 0 THEN 'math' ELSE 'seat ' || n END",
            "created_at": AGED,
        },
    )
    fill(
        "subscriptions_reconciliationrun",
        {
            "id": f"({uuid_of(RUN)})::uuid",
            "state": "'drift'",
            "since": AGED,
            "until": AGED,
            "repair": "false",
            "scheduled_for": f"current_date - ({RUNS} - n)",
            "requests": "0",
            "requested_at": AGED,
            "compared": "100",
            "started_at": f"now() - ({RUNS} - n) * interval '1 day'",
            "ended_at": f"now() - ({RUNS} - n) * interval '1 day'",
        },
        rows=RUNS,
    )
    fill(
        "subscriptions_drift",
        {
            "run_id": f"({uuid_of(RUN).replace('to_hex(n)', f'to_hex(n % {RUNS} + 1)')})::uuid",
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "kind": "'code_lost'",
            "state": "CASE n % 3 WHEN 0 THEN 'open' ELSE 'repaired' END",
            "ours": "''",
            "theirs": "''",
            "tries": "0",
            "found_at": AGED,
            "closed_at": AGED,
        },
    )
    fill(
        "providers_providerevent",
        {
            "id": f"({uuid_of(EVENT)})::uuid",
            "provider": "'stripe'",
            "event_id": "'evt_' || n",
            "type": "'invoice.paid'",
            "test": "false",
            "created_at": AGED,
            "currency": "'EUR'",
            # The oldest wait, among many that do so forever.
            "state": f"CASE WHEN n > {MIDDLE} THEN 'handled' WHEN n <= 5 THEN 'received' "
            "ELSE 'unmatched' END",
            "reason": "''",
            "waits_for": "'sub_' || n",
            "subscription_id": f"CASE WHEN n > {MIDDLE} THEN ({uuid_of(PAID)})::uuid END",
            "received_at": AGED,
            "handled_at": f"CASE WHEN n > {MIDDLE} THEN {AGED} END",
            "body": "'\\x00'::bytea",
            "persons_noted": f"n <= {MIDDLE}",
        },
    )
    fill(
        "providers_providerperson",
        {
            "id": f"({uuid_of(NAMED)})::uuid",
            "event_id": f"({uuid_of(EVENT)})::uuid",
            "kind": "'email'",
            "name": "'\\x00'::bytea",
            "name_hash": "decode(md5(n::text), 'hex')",
        },
        rows=MIDDLE,
    )
    fill(
        "providers_providerlink",
        {
            "provider": "'stripe'",
            "test": "false",
            "external_id": "'sub_' || n",
            "subscription_id": f"CASE WHEN n > {MIDDLE} THEN ({uuid_of(PAID)})::uuid END",
        },
    )
    fill(
        "providers_providerstanding",
        {"subscription_id": f"({uuid_of(PAID)})::uuid", "provider": "'stripe'"},
    )
    fill(
        "web_idempotencykey",
        {
            "client": "'shop'",
            "key": "'key ' || n",
            "fingerprint": "'\\x00'::bytea",
            "created_at": f"now() - ({ROWS} - n) * interval '30 days 1 hour' / {ROWS}",
        },
    )


def reconcile(*arguments: str) -> None:
    with suppress(SystemExit):
        call_command("reconcile", *arguments, stdout=StringIO())


def a_page() -> None:
    begin, end = (Subscription.objects.get(pk=the_uuid(PAID, n)) for n in (MIDDLE, MIDDLE + 1_000))
    now = timezone.now()
    run = ReconciliationRun(since=now - timedelta(days=90), until=now)
    run.after_paid_at, run.after_id = begin.created_at, begin.id
    checksums._ours(run, Position(occurred_at=end.created_at, subscription_id=end.id))


def request_again() -> None:
    with transaction.atomic():
        code_requests.request_at_once([UUID(the_uuid(PAID, 1))])


def provider_events(*arguments: str) -> None:
    call_command("provider_events", *arguments, stdout=StringIO())


def link(external_id: str) -> None:
    with transaction.atomic():
        links = ProviderLink.objects
        held = links.hold("stripe", test=False, ids=[external_id])
        links.tie("stripe", test=False, held=held, to=UUID(the_uuid(PAID, 1)))


QUESTIONS: dict[str, Callable[[], Any]] = {
    "why": partial(timeline.of, the_uuid(PAID, MIDDLE)),
    "metrics of subscriptions": lambda: list(metrics.open_subscriptions()),
    "metrics of drift": lambda: list(metrics.drift()),
    "reconcile list": partial(reconcile, "list"),
    "reconcile show": partial(reconcile, "show", the_uuid(RUN, RUNS)),
    "a page of a comparison": a_page,
    "the daily run": runs.start_daily,
    "unfinished runs": runs.continue_unfinished,
    "requests that are due": lambda: list(Subscription.objects.waiting_too_long()[:100]),
    "a request again": request_again,
    "requests to mail again that are due": lambda: list(Subscription.objects.resend_too_long()),
    "ends that are to be reported": ending.report_ended,
    "keys to prune": IdempotencyKey.objects.prune,
    "events of providers that are due": lambda: list(ProviderEvent.objects.due()),
    "events that wait for an id": partial(link, f"sub_{MIDDLE - 1}"),
    "events to delete": retention.prune,
    "events to close": retention.close_old,
    "events of before": of_events.note_earlier,
    "open events of a person": lambda: of_events.find(Person(["user-1"], ["ada@example.com"])),
    "open events of a subscription": lambda: of_events.find(Person(subjects=[a_paid()])),
    "an event that ends": lambda: ProviderPerson.objects.forget([UUID(the_uuid(EVENT, 7))]),
    "open events of providers": lambda: list(open_events()),
    "events in a state": partial(provider_events, "list", "--state", "unmatched"),
    "events by state": partial(provider_events, "list"),
    "an event": partial(provider_events, "show", the_uuid(EVENT, MIDDLE)),
    "what is erased": lambda: erase([the_uuid(PAID, MIDDLE + 1)]),
    "seats that are pending": lambda: complete_again(the_uuid(ORDER, 7)),
    "a person": lambda: persons.find(Person([f"user-{MIDDLE}"], ["nobody@example.com"])),
    "a person's data": lambda: all_of(persons.rows([the_uuid(PAID, MIDDLE)])),
    "a person's messages": lambda: all_of(library.messages([the_uuid(PAID, MIDDLE)])),
    "a person's orders": lambda: persons.orders_of([the_uuid(PAID, MIDDLE)]),
    "acts about a person": lambda: all_of(library.acts([the_uuid(PAID, MIDDLE)])),
    "persons to erase": erasing.erase_due,
    "erasures to request again": requests.repeat,
}


def a_paid() -> str:
    return the_uuid(PAID, MIDDLE)


def all_of(parts: Iterable[Any]) -> None:
    for rows in parts:
        list(rows)


def complete_again(order: str) -> None:
    with transaction.atomic():
        Order.objects.filter(pk=order).update(completed_at=None)
        complete([UUID(order)])


def ago(days: float) -> str:
    return (timezone.now() - timedelta(days=days)).isoformat().replace("+00:00", "Z")


FILTERS: dict[str, dict[str, str]] = {
    "the newest": {},
    "a user": {"user_id": f"user-{MIDDLE}"},
    "an address of many": {"email": "ada@example.com"},
    "an address of few": {"email": "grace@example.com"},
    "an address of none": {"email": "nobody@example.com"},
    "a plan of many": {"plan": "gold"},
    "a plan of few": {"plan": "rare"},
    "pending": {"status": "pending"},
    "active": {"status": "active"},
    "cancelled": {"status": "cancelled"},
    "refunded": {"status": "refunded"},
    "past due": {"status": "past_due"},
    "expired": {"status": "expired"},
    "a reference": {"reference": f"seat-{MIDDLE}"},
    "a reference of none": {"reference": "seat-1"},
    "an order": {"order": the_uuid(ORDER, 7)},
    "an order, pending": {"order": the_uuid(ORDER, 7), "status": "pending"},
    "an order changed since": {"order": the_uuid(ORDER, 7), "updated_since": ago(39)},
    "an entry of many": {"metadata": "course:math"},
    "an entry of few": {"metadata": "seat:seat 7"},
    "an entry of none": {"metadata": "course:art"},
    "an entry of many until": {"metadata": "course:math", "created_until": ago(20)},
    "an entry of many since": {"metadata": "course:math", "created_since": ago(20)},
    "recorded since": {"created_since": ago(39)},
    "recorded until": {"created_until": ago(20)},
    "recorded between": {"created_since": ago(39), "created_until": ago(38)},
    "changed since": {"updated_since": ago(39)},
    "changed a moment ago": {"updated_since": ago(0.001)},
    "a plan and a status": {"plan": "gold", "status": "cancelled"},
    "a plan, pending": {"plan": "gold", "status": "pending"},
    "a status until": {"status": "active", "created_until": ago(20)},
    "a status of none until": {"status": "cancelled", "created_until": ago(21)},
    "a plan until": {"plan": "gold", "created_until": ago(20)},
    "a user changed since": {"user_id": f"user-{MIDDLE}", "updated_since": ago(39)},
    "a plan changed since": {"plan": "gold", "updated_since": ago(39)},
    "a plan of many and a status of none until": {
        "plan": "gold",
        "status": "cancelled",
        "created_until": ago(21),
    },
    "a rare plan and a status": {"plan": "rare", "status": "pending"},
    "a plan and a status changed since": {
        "plan": "gold",
        "status": "cancelled",
        "updated_since": ago(39),
    },
    "a rare plan changed since": {"plan": "rare", "updated_since": ago(39)},
    "a status changed since": {"status": "cancelled", "updated_since": ago(39)},
    "pending changed since": {"status": "pending", "updated_since": ago(39)},
}


def test_no_filter_of_the_api_reads_more_than_its_page(shop: Api, other_shop: Api) -> None:
    make()

    def ask(query: dict[str, str]) -> None:
        page = shop.get(f"/v1/subscriptions?{urlencode(query)}")
        assert page.status_code == 200
        if following := page.json()["next"]:
            shop.get(following)

    questions = {name: partial(ask, query) for name, query in FILTERS.items()}
    questions["the few of another client"] = partial(other_shop.get, "/v1/subscriptions")
    assert large_reads(questions, most=A_PAGE) == {}


def test_no_question_reads_more_for_rows_that_are_done(shop: Api, other_shop: Api) -> None:
    make()
    subscription_id = the_uuid(PAID, MIDDLE)
    api: dict[str, Callable[[], Any]] = {
        "a page of the API": partial(shop.get, "/v1/subscriptions"),
        "the next page": lambda: shop.get(shop.get("/v1/subscriptions").json()["next"]),
        "the few of another client": partial(other_shop.get, "/v1/subscriptions"),
        "one subscription": partial(shop.get, f"/v1/subscriptions/{subscription_id}"),
        "an order of another client": partial(other_shop.get, f"/v1/orders/{the_uuid(ORDER, 7)}"),
        "a page of orders": partial(shop.get, "/v1/orders?limit=10"),
        "orders with a reference": partial(shop.get, "/v1/orders?reference=PO-7"),
        "orders of a time": partial(shop.get, f"/v1/orders?limit=10&created_until={ago(20)}"),
    }

    assert large_reads({**QUESTIONS, **api}) == {}
