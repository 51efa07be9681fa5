"""A third party that follows docs/events.md can take part, and no other can do harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests_integration.harness.deployment import Deployment
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.mailbox import ReceivedMail
from tests_integration.harness.third_party import (
    Event,
    ThirdParty,
    connected,
    requested_again,
    user_subscribed,
)
from tools.system.eventually import eventually

pytestmark = on_servers


@pytest.fixture
def third_party(deployment: Deployment) -> Iterator[ThirdParty]:
    place = deployment.place
    with connected(place.wire_url, place.backends.prefix, deployment.wire_keys) as third_party:
        yield third_party


def reply_to(third_party: ThirdParty, request: Event) -> Event:
    """The reply that names this event as its cause."""
    replies = eventually(
        lambda: [
            r for r in third_party.replies(request["subject"]) if r["causationid"] == request["id"]
        ]
    )
    return replies[0]


def mails_for(deployment: Deployment, request: Event) -> list[ReceivedMail]:
    """The mails for a request, once there are any."""
    return eventually(lambda: deployment.mailbox.mails(request["data"]["email"]))


def set_aside(deployment: Deployment, service: str, state: str) -> int:
    """How many messages a service has set aside, as `manage.py set_aside` reports."""
    lines = deployment.system.manage(service, "set_aside", "list", "--state", state).splitlines()
    groups = [line.split() for line in lines if f" {state} " in line]
    return sum(int(count.replace(",", "")) for _, shown, count, *_ in groups if shown == state)


def test_a_third_partys_request_is_answered_and_mailed(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    request = user_subscribed()
    third_party.publish(request)

    reply = reply_to(third_party, request)
    properties = third_party.properties(reply["id"])

    assert reply["specversion"] == "1.0"
    assert reply["source"] == "/student_service"
    assert reply["type"] == "access_code_created"
    assert reply["datacontenttype"] == "application/json"
    assert reply["correlationid"] == request["correlationid"]
    assert reply["data"]["subscription_id"] == request["subject"]
    assert reply["data"]["user_id"] == request["data"]["user_id"]
    assert [mail.codes for mail in mails_for(deployment, request)] == [
        (reply["data"]["access_code"],)
    ]
    assert properties.content_type == "application/cloudevents+json"
    assert properties.message_id == reply["id"]
    assert properties.type == "access_code_created"
    assert properties.app_id == "student_service"
    assert properties.correlation_id == request["subject"]
    assert properties.delivery_mode == 2
    assert properties.timestamp


def test_an_event_sent_again_is_answered_once(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    request, later = user_subscribed(), user_subscribed()
    for _ in range(3):
        third_party.publish(request)
    third_party.publish(later)

    reply_to(third_party, later)  # so the ones before it have been handled as well
    mails_for(deployment, later)

    assert len(third_party.replies(request["subject"])) == 1
    assert len(mails_for(deployment, request)) == 1


def test_a_repeated_request_gets_the_same_code_and_no_second_mail(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    first, later = user_subscribed(), user_subscribed()
    again = requested_again(first)
    third_party.publish(first)
    third_party.publish(again)
    third_party.publish(later)

    codes = [reply_to(third_party, event)["data"]["access_code"] for event in (first, again)]
    mails_for(deployment, later)

    assert codes[0] == codes[1]
    assert [mail.codes for mail in mails_for(deployment, first)] == [(codes[0],)]


def test_a_reply_for_an_unknown_subscription_is_set_aside(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    before = set_aside(deployment, "payment_service", "dead")
    request = user_subscribed()
    third_party.publish(request)
    reply_to(third_party, request)

    assert eventually(
        lambda: set_aside(deployment, "payment_service", "dead"), lambda count: count > before
    )


def changed(**changes: Any) -> bytes:
    """A request with other attributes."""
    return json.dumps({**user_subscribed(), **changes}).encode()


def without(name: str) -> bytes:
    """A request without an attribute."""
    request = user_subscribed()
    del request[name]
    return json.dumps(request).encode()


GOOD = json.dumps(user_subscribed())

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
    "a subject that is not its subscription": changed(subject="another"),
    "another format": changed(datacontenttype="application/xml"),
    "a negative amount": json.dumps(user_subscribed(amount=-1)).encode(),
    "an amount that is no integer": json.dumps(user_subscribed(amount=1.5)).encode(),
    "two addresses": json.dumps(user_subscribed(email="a@example.com, b@example.com")).encode(),
    "a line break in the address": json.dumps(
        user_subscribed(email="a@example.com\r\nBcc: b@c")
    ).encode(),
    "a time without a zone": json.dumps(
        user_subscribed(occurred_at="2026-01-01T00:00:00")
    ).encode(),
}


def test_malformed_messages_are_set_aside_and_the_others_are_handled(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    consumer = deployment.system.process("student-consumer")
    before, restarts = (
        set_aside(deployment, "student_service", "dead"),
        consumer.output().count("ready"),
    )
    good = [user_subscribed() for _ in MALFORMED]
    for body, neighbour in zip(MALFORMED.values(), good, strict=True):
        third_party.publish_bytes(body)
        third_party.publish(neighbour)

    for neighbour in good:
        reply_to(third_party, neighbour)

    assert set_aside(deployment, "student_service", "dead") - before == len(MALFORMED)
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


def test_strange_properties_harm_no_other_message(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    consumer = deployment.system.process("student-consumer")
    restarts = consumer.output().count("ready")
    strange, good = [user_subscribed() for _ in STRANGE], [user_subscribed() for _ in STRANGE]
    for properties, event, neighbour in zip(STRANGE, strange, good, strict=True):
        third_party.publish_bytes(json.dumps(event).encode(), **properties)
        third_party.publish(neighbour)

    for neighbour in good:
        reply_to(third_party, neighbour)

    assert consumer.output().count("ready") == restarts


def test_an_id_used_for_another_message_is_set_aside(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    first = user_subscribed()
    other = {**user_subscribed(), "id": first["id"]}
    later = user_subscribed()
    before = set_aside(deployment, "student_service", "dead")
    for event in (first, other, later):
        third_party.publish(event)

    reply_to(third_party, first)
    reply_to(third_party, later)

    assert third_party.replies(other["subject"]) == []
    assert set_aside(deployment, "student_service", "dead") - before == 1


def test_an_event_of_an_unknown_type_is_kept_and_retried(
    deployment: Deployment, third_party: ThirdParty
) -> None:
    before = set_aside(deployment, "student_service", "retrying")
    third_party.publish_bytes(changed(type="user_subscribed.v2"))

    assert eventually(
        lambda: set_aside(deployment, "student_service", "retrying"),
        lambda count: count == before + 1,
    )
