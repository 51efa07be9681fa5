"""What clients call their subscriptions and note with them is shown and found, and goes nowhere."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
from admit_one.messaging import OutboxMessage
from admit_one.messaging.testing import deliver, published
from subscriptions.models import MetadataEntry, Subscription

from tests.conftest import Api
from tests.factories import a_code_for, a_payload, a_subscription, an_order
from tests.orders.api import post
from tests.test_paging import walk

LIST = "/v1/subscriptions"

pytestmark = pytest.mark.django_db


def listed(shop: Api, **query: str) -> list[str]:
    return [row_id for page in walk(shop, f"{LIST}?{urlencode(query)}") for row_id in page]


def test_a_reference_and_metadata_are_shown_as_they_were_given(shop: Api) -> None:
    own = {"reference": "PO-7031/ä", "metadata": {"b": "two words", "a.b_c-D": "🎓"}}
    first = shop.post(a_payload(**own))
    [row] = shop.get(LIST).json()["results"]

    assert {name: first.json()[name] for name in own} == own
    assert {name: row[name] for name in own} == own
    assert shop.get(first["Location"]).json()["metadata"] == own["metadata"]


@pytest.mark.parametrize("own", [{}, {"reference": None, "metadata": None}, {"metadata": {}}])
def test_none_is_as_good_as_an_empty_object(shop: Api, own: dict[str, Any]) -> None:
    answer = shop.post(a_payload(**own)).json()

    assert (answer["reference"], answer["metadata"]) == (None, {})


@pytest.mark.parametrize(
    ("own", "field", "detail"),
    [
        ({"reference": ""}, "reference", "expected at least one character"),
        ({"reference": "a b"}, "reference", "expected visible characters only, no spaces"),
        ({"reference": "a\u200b"}, "reference", "expected visible characters only, no spaces"),
        ({"reference": "r" * 129}, "reference", "expected at most 128 characters"),
        ({"reference": 7}, "reference", "expected a string"),
        ({"metadata": []}, "metadata", "expected a JSON object of strings"),
        ({"metadata": "a"}, "metadata", "expected a JSON object of strings"),
        (
            {"metadata": {f"k{n}": "v" for n in range(21)}},
            "metadata",
            "expected at most 20 entries",
        ),
        ({"metadata": {"a": 1}}, "metadata.a", "expected a string"),
        ({"metadata": {"a": None}}, "metadata.a", "expected a value, got null"),
        ({"metadata": {"a": ""}}, "metadata.a", "expected at least one character"),
        ({"metadata": {"a": {"b": "c"}}}, "metadata.a", "expected a string"),
        ({"metadata": {"a": "x\ny"}}, "metadata.a", "expected one line of visible characters"),
        ({"metadata": {"a": "v" * 501}}, "metadata.a", "expected at most 500 characters"),
    ],
)
def test_what_does_not_fit_is_refused(
    shop: Api, own: dict[str, Any], field: str, detail: str
) -> None:
    answer = shop.post(a_payload(**own))

    assert answer.status_code == 400
    assert [(e["field"], e["detail"]) for e in answer.json()["errors"]] == [(field, detail)]


@pytest.mark.parametrize("text", ["\0", "\ud800"], ids=["NUL", "half a character"])
def test_what_no_database_keeps_is_refused(shop: Api, text: str) -> None:
    for own in ({"reference": text}, {"metadata": {"a": text}}, {"metadata": {text: "a"}}):
        assert shop.post(a_payload(**own)).status_code == 400


@pytest.mark.parametrize("key", ["", "k" * 41, "a b", "a:b", "a[b]", "ä", "a\n"])
def test_a_key_of_other_characters_is_refused(shop: Api, key: str) -> None:
    answer = shop.post(a_payload(metadata={key: "v"})).json()

    assert answer["detail"] == (
        "metadata: expected keys of 1 to 40 characters, of A-Z, a-z, 0-9, _, . and -"
    )


def test_the_largest_metadata_is_kept_and_found(shop: Api) -> None:
    # Characters of four bytes that do not compress: an entry of an index holds 2,704 bytes.
    longest = "".join(Random(1).choices([chr(code) for code in range(0x20000, 0x2A000)], k=500))
    largest = {f"{n:040}": longest for n in range(20)}
    answer = shop.post(a_payload(reference=longest[:128], metadata=largest))

    assert answer.json()["metadata"] == largest
    assert listed(shop, metadata=f"{0:040}:{longest}") == [answer.json()["id"]]
    assert listed(shop, reference=longest[:128]) == [answer.json()["id"]]


def test_a_list_finds_a_reference(shop: Api, other_shop: Api) -> None:
    first, _, third = (
        str(a_subscription(reference=name, plan=plan).id)
        for name, plan in (("a", "gold"), ("b", "gold"), ("a", "silver"))
    )

    assert listed(shop, reference="a") == [third, first]
    assert listed(shop, reference="a", plan="gold") == [first]
    assert listed(shop, reference="c") == listed(other_shop, reference="a") == []


def test_a_list_finds_an_entry_of_the_metadata(shop: Api, other_shop: Api) -> None:
    ids = [
        str(a_subscription(metadata={"course": course, "n": str(n)}).id)
        for n, course in enumerate(["math", "math: part 2", "math", "math"])
    ][::-1]
    a_subscription()

    assert listed(shop, metadata="course:math") == [ids[0], ids[1], ids[3]]
    assert listed(shop, metadata="course:math", limit="2") == [ids[0], ids[1], ids[3]]
    assert listed(shop, metadata="course:math: part 2") == [ids[2]]
    assert listed(shop, metadata="n:0") == [ids[3]]
    assert listed(shop, metadata="course:0") == listed(other_shop, metadata="n:0") == []


def test_entries_of_an_order_are_found(shop: Api) -> None:
    answer = post(
        shop, subscriptions=[a_payload(metadata={"seat": str(n)}) for n in range(3)]
    ).json()
    [found] = shop.get(f"{LIST}?metadata=seat:1").json()["results"]

    assert (found["order"], found["metadata"]) == (answer["id"], {"seat": "1"})


def test_an_entry_is_found_in_a_time(shop: Api) -> None:
    rows = [a_subscription(metadata={"a": "b"}) for _ in range(3)]

    def text(moment: datetime) -> str:
        return moment.isoformat().replace("+00:00", "Z")

    middle = text(rows[1].created_at)
    after = text(rows[1].created_at + timedelta(microseconds=1))
    assert listed(shop, metadata="a:b", created_since=middle, created_until=after) == [
        str(rows[1].id)
    ]


@pytest.mark.parametrize("entry", ["course", ":math", "course:", "c c:math", f"{'k' * 41}:v"])
def test_an_entry_that_can_be_in_no_metadata_is_refused(shop: Api, entry: str) -> None:
    answer = shop.get(f"{LIST}?{urlencode({'metadata': entry})}")

    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "metadata: expected a key and its value with a colon between them, such as course:math"
    )


def test_a_value_longer_than_any_is_refused(shop: Api) -> None:
    assert shop.get(f"{LIST}?metadata=k:{'v' * 501}").status_code == 400


@pytest.mark.parametrize("name", ["plan", "status", "reference", "updated_since"])
def test_an_entry_goes_with_no_other_filter_than_the_time(shop: Api, name: str) -> None:
    value = {"status": "active", "updated_since": "2026-01-02T03:04:05Z"}.get(name, "x")
    answer = shop.get(f"{LIST}?metadata=a:b&{name}={value}").json()

    [fault] = answer["errors"]
    assert (fault["field"], fault["code"]) == ("metadata", "other_order")


@pytest.mark.parametrize("order", ["x", "{00000000-0000-7000-8000-000000000000}", ""])
def test_an_order_that_is_no_id_is_refused(shop: Api, order: str) -> None:
    assert shop.get(f"{LIST}?order={order}").status_code == 400


def test_they_are_part_of_what_an_idempotency_key_stands_for(shop: Api) -> None:
    shop.post(a_payload(reference="a", metadata={"a": "b"}), Idempotency_Key="k")
    same = shop.post(a_payload(metadata={"a": "b"}, reference="a"), Idempotency_Key="k")
    others = [
        shop.post(a_payload(**own), Idempotency_Key="k")
        for own in ({}, {"reference": "a"}, {"reference": "a", "metadata": {"a": "c"}})
    ]

    assert same["Idempotency-Replayed"] == "true"
    assert [answer.status_code for answer in others] == [422] * 3


def test_they_are_in_no_event_and_in_no_log(shop: Api, caplog: pytest.LogCaptureFixture) -> None:
    own: dict[str, Any] = {"reference": "own-words-1", "metadata": {"own-words-2": "own-words-3"}}
    with caplog.at_level(logging.DEBUG):
        first = shop.post(a_payload(**own)).json()["id"]
        post(shop, subscriptions=[a_payload(**own)], **own)
        shop.get(f"{LIST}?reference=own-words-1")
        shop.get(f"{LIST}?metadata=own-words-2:own-words-3")
        deliver(*(a_code_for(row.id) for row in Subscription.objects.all()))
        shop.http.generic("POST", f"{LIST}/{first}/cancel")

    events = [json.dumps(dict(event.data), default=str) for event in published()]
    assert len(events) == OutboxMessage.objects.count() == 3
    assert [event for event in events if "own-words" in event] == []
    assert "own-words" not in caplog.text.replace("/v1/subscriptions?", "")


def test_an_entry_repeats_what_its_subscription_has() -> None:
    row = a_subscription(metadata={"a": "b"})
    an_order(1, metadata={"c": "d"})  # of which no list is made by entries

    [entry] = MetadataEntry.objects.all()
    assert (entry.subscription_id, entry.client, entry.created_at) == (
        row.id,
        row.client,
        row.created_at,
    )
