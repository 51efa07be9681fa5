"""Whoever reads docs/events.md can take part, with any client, and can do no harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests_integration.harness.eventually import eventually
from tests_integration.harness.house import House
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.mailbox import Mail
from tests_integration.harness.stranger import Event, Stranger, a_stranger, asked_again, request

pytestmark = on_servers


@pytest.fixture
def stranger(house: House) -> Iterator[Stranger]:
    """Somebody with a login on the broker and a queue of its own."""
    with a_stranger(house.place.wire_url, house.place.backends.prefix) as stranger:
        yield stranger


def reply_to(stranger: Stranger, asked: Event) -> Event:
    """The reply that names this event as its cause."""
    replies = eventually(
        lambda: [r for r in stranger.replies(asked["subject"]) if r["causationid"] == asked["id"]]
    )
    return replies[0]


def mails_for(house: House, asked: Event) -> list[Mail]:
    """The mails for a request, once there are any."""
    return eventually(lambda: house.mailbox.mails(asked["data"]["email"]))


def set_aside(house: House, service: str, state: str) -> int:
    """How many messages a service has set aside, as it tells its operators."""
    lines = house.system.manage(service, "set_aside", "list", "--state", state).splitlines()
    groups = [line.split() for line in lines if f" {state} " in line]
    return sum(int(count.replace(",", "")) for _, shown, count, *_ in groups if shown == state)


def test_a_strangers_request_is_answered_to_the_stranger_and_mailed(
    house: House, stranger: Stranger
) -> None:
    asked = request()
    stranger.ask(asked)

    reply = reply_to(stranger, asked)
    properties = stranger.properties(reply["id"])

    assert reply["specversion"] == "1.0"
    assert reply["source"] == "/student_service"
    assert reply["type"] == "access_code_created"
    assert reply["datacontenttype"] == "application/json"
    assert reply["correlationid"] == asked["correlationid"]
    assert reply["data"]["subscription_id"] == asked["subject"]
    assert reply["data"]["user_id"] == asked["data"]["user_id"]
    assert [mail.codes for mail in mails_for(house, asked)] == [(reply["data"]["access_code"],)]
    assert properties.content_type == "application/cloudevents+json"
    assert properties.message_id == reply["id"]
    assert properties.type == "access_code_created"
    assert properties.app_id == "student_service"
    assert properties.correlation_id == asked["subject"]
    assert properties.delivery_mode == 2
    assert properties.timestamp


def test_an_event_sent_again_is_answered_once(house: House, stranger: Stranger) -> None:
    asked, later = request(), request()
    for _ in range(3):
        stranger.ask(asked)
    stranger.ask(later)

    reply_to(stranger, later)  # and so the ones before it are through, too
    mails_for(house, later)

    assert len(stranger.replies(asked["subject"])) == 1
    assert len(mails_for(house, asked)) == 1


def test_who_asks_again_gets_the_same_code_and_no_second_mail(
    house: House, stranger: Stranger
) -> None:
    first, later = request(), request()
    again = asked_again(first)
    stranger.ask(first)
    stranger.ask(again)
    stranger.ask(later)

    codes = [reply_to(stranger, event)["data"]["access_code"] for event in (first, again)]
    mails_for(house, later)

    assert codes[0] == codes[1]
    assert [mail.codes for mail in mails_for(house, first)] == [(codes[0],)]


def test_a_reply_for_an_unknown_subscription_is_set_aside_by_the_payment_side(
    house: House, stranger: Stranger
) -> None:
    before = set_aside(house, "payment_service", "dead")
    asked = request()
    stranger.ask(asked)
    reply_to(stranger, asked)

    assert eventually(
        lambda: set_aside(house, "payment_service", "dead"), lambda count: count > before
    )


def changed(**changes: Any) -> bytes:
    """A request with other attributes."""
    return json.dumps({**request(), **changes}).encode()


def without(name: str) -> bytes:
    """A request that lacks an attribute."""
    asked = request()
    del asked[name]
    return json.dumps(asked).encode()


GOOD = json.dumps(request())

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"hello",
    "not an object": b"[1, 2]",
    "cut short": GOOD[:-20].encode(),
    "not UTF-8": GOOD.replace("gold", "g\xf6ld").encode("latin-1"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "a key twice": GOOD.replace('"plan"', '"plan": "x", "plan"').encode(),
    "not a number": GOOD.replace("4900", "NaN").encode(),
    "a number of 5,000 digits": GOOD.replace("4900", "9" * 5_000).encode(),
    "200,000 brackets": b"[" * 200_000,
    "a zero character": GOOD.replace("gold", "go\\u0000ld").encode(),
    "half a surrogate": GOOD.replace("gold", "go\\ud800ld").encode(),
    "300 kB": GOOD.replace("gold", "g" * 300_000).encode(),
    "no id": without("id"),
    "no data": without("data"),
    "another's source": changed(source="/student_service"),
    "a subject that is not its subscription": changed(subject="somebody else"),
    "another format": changed(datacontenttype="application/xml"),
    "a negative amount": json.dumps(request(amount=-1)).encode(),
    "an amount that is no integer": json.dumps(request(amount=1.5)).encode(),
    "two addresses": json.dumps(request(email="a@example.com, b@example.com")).encode(),
    "a line break in the address": json.dumps(request(email="a@example.com\r\nBcc: b@c")).encode(),
    "a time without a zone": json.dumps(request(occurred_at="2026-01-01T00:00:00")).encode(),
}


def test_malformed_messages_are_set_aside_and_harm_nobody(house: House, stranger: Stranger) -> None:
    consumer = house.system.process("student-consumer")
    before, restarts = set_aside(house, "student_service", "dead"), consumer.output().count("ready")
    good = [request() for _ in MALFORMED]
    for body, neighbour in zip(MALFORMED.values(), good, strict=True):
        stranger.send(body)
        stranger.ask(neighbour)

    for neighbour in good:
        reply_to(stranger, neighbour)

    assert set_aside(house, "student_service", "dead") - before == len(MALFORMED)
    assert consumer.output().count("ready") == restarts


STRANGE: list[dict[str, Any]] = [
    {"timestamp": 2**63 - 1},
    {"content_type": b"\xff\xfe"},
    {"message_id": b"\xff\xfe"},
    {"headers": {"compression": "application/x-bz2"}},
    {"content_encoding": "no-such-encoding"},
    {"content_type": "application/x-python-serialize"},
    {"delivery_mode": 1, "priority": 255},
]


def test_strange_properties_cost_at_most_their_own_message(
    house: House, stranger: Stranger
) -> None:
    consumer = house.system.process("student-consumer")
    restarts = consumer.output().count("ready")
    strange, good = [request() for _ in STRANGE], [request() for _ in STRANGE]
    for properties, event, neighbour in zip(STRANGE, strange, good, strict=True):
        stranger.send(json.dumps(event).encode(), **properties)
        stranger.ask(neighbour)

    for neighbour in good:
        reply_to(stranger, neighbour)

    assert consumer.output().count("ready") == restarts


def test_an_id_used_for_another_message_is_set_aside(house: House, stranger: Stranger) -> None:
    first = request()
    other = {**request(), "id": first["id"]}
    later = request()
    before = set_aside(house, "student_service", "dead")
    for event in (first, other, later):
        stranger.ask(event)

    reply_to(stranger, first)
    reply_to(stranger, later)

    assert stranger.replies(other["subject"]) == []
    assert set_aside(house, "student_service", "dead") - before == 1


def test_an_event_of_a_type_not_known_yet_is_kept_to_be_tried_again(
    house: House, stranger: Stranger
) -> None:
    before = set_aside(house, "student_service", "retrying")
    stranger.send(changed(type="user_subscribed.v2"))

    assert eventually(
        lambda: set_aside(house, "student_service", "retrying"), lambda count: count == before + 1
    )
