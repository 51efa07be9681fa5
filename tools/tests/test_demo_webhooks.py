"""The demo's receiver keeps what a service has signed, once, and refuses everything else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any

import pytest
from standardwebhooks import Webhook

from tools.demo.webhooks import LONGEST, PATH, TYPES, Receiver
from tools.system.commands import ROOT, SERVICES
from tools.system.ports import LOCAL

SECRETS = {
    service: "whsec_" + base64.b64encode(bytes([number]) * 32).decode()
    for number, service in enumerate(SERVICES)
}
BODY = json.dumps({"type": "order.completed", "data": {"order_id": "o-1", "seats": 2}})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        for service, secret in SECRETS.items():
            receiver.trust(service, secret)
        yield receiver


def signed(body: str = BODY, *, by: str = "payment_service", age: float = 0) -> dict[str, str]:
    """The headers of a request that this service has sent `age` seconds ago."""
    sent = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "webhook-id": "w-1",
        "webhook-timestamp": str(int(sent.timestamp())),
        "webhook-signature": Webhook(SECRETS[by]).sign("w-1", sent, body),
    }


def send(receiver: Receiver, headers: Mapping[str, str], body: str = BODY, to: str = "") -> int:
    """The status of the answer."""
    connection = HTTPConnection(LOCAL, receiver.port, timeout=10)
    connection.request("POST", PATH + (to or "payment_service"), body, dict(headers))
    status = connection.getresponse().status
    connection.close()
    return status


def test_what_comes_twice_is_kept_once_and_shown_as_verified(receiver: Receiver) -> None:
    capitals = {name.title(): value for name, value in signed().items()}
    statuses = [send(receiver, headers) for headers in (signed(), capitals)]

    assert statuses == [204, 204]
    [taken] = receiver.taken
    assert (str(taken), taken.about) == ("payment: order.completed, verified", "o-1")
    assert receiver.has("payment_service", "order.completed", "o-1")
    assert not receiver.has("student_service", "order.completed", "o-1")


@pytest.mark.parametrize(
    ("headers", "to"),
    [
        ({}, "payment_service"),
        (signed(BODY + " "), "payment_service"),
        (signed(age=360), "payment_service"),
        (signed(by="student_service"), "payment_service"),
        (signed(), "student_service"),
        (signed(), "nobody"),
        (signed() | {"webhook-signature": "v1"}, "payment_service"),
        (signed() | {"webhook-signature": "v1,none"}, "payment_service"),
        (signed() | {"webhook-timestamp": "soon"}, "payment_service"),
    ],
    ids=[
        *("unsigned", "changed", "old", "of the other service", "to the other service"),
        *("to nobody", "half a signature", "no signature", "no time"),
    ],
)
def test_what_the_service_has_not_signed_is_refused(
    receiver: Receiver, headers: Mapping[str, str], to: str
) -> None:
    assert send(receiver, headers, to=to) == 400
    assert receiver.taken == []


@pytest.mark.parametrize("length", [str(LONGEST + 1), "-1", "many"])
def test_a_body_that_is_too_long_is_not_read(receiver: Receiver, length: str) -> None:
    assert send(receiver, signed() | {"Content-Length": length}, body="") == 413


def test_the_demo_listens_to_every_type_there_is() -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    types = re.findall(r"^\| `((?:subscription|order|access)\.\w+)` \|", page, re.MULTILINE)

    assert sorted(types) == sorted(each for service in TYPES for each in TYPES[service])


class Api:
    """The endpoints of a service, which has those of `known`; notes what is requested."""

    def __init__(self, *known: str) -> None:
        self.known = [{"id": f"e-{n}", "url": url} for n, url in enumerate(known)]
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []

    def get(self, url: str, _: object) -> Any:
        self.asked.append(("GET", url))
        return {"results": self.known}

    def post(self, url: str, body: Any, _: object) -> Any:
        return self._note("POST", url, body)

    def patch(self, url: str, body: Any, _: object) -> Any:
        return self._note("PATCH", url, body)

    def _note(self, method: str, url: str, body: Any) -> Any:
        self.asked.append((method, url))
        self.bodies.append(body)
        return {"secret": SECRETS["student_service"]}


@pytest.mark.parametrize(
    ("known", "requested"),
    [
        ((), [("POST", "/v1/webhook-endpoints")]),
        (
            ("https://shop.example.com/hooks", f"http://{LOCAL}:9{PATH}payment_service"),
            [
                ("POST", "/v1/webhook-endpoints/e-1/rotate-secret"),
                ("PATCH", "/v1/webhook-endpoints/e-1"),
                ("POST", "/v1/webhook-endpoints/e-1/enable"),
            ],
        ),
    ],
)
def test_an_endpoint_of_an_earlier_demo_is_used_again_and_no_other(
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    known: tuple[str, ...],
    requested: list[tuple[str, str]],
) -> None:
    api = Api(*known)
    monkeypatch.setattr("tools.demo.webhooks.rest", api)
    receiver.listen("payment_service", "", "a-key")

    assert api.asked[1:] == requested
    wanted = {
        "url": f"http://{LOCAL}:{receiver.port}{PATH}payment_service",
        "events": TYPES["payment_service"],
    }
    assert wanted in api.bodies
    assert send(receiver, signed(by="student_service")) == 204  # by the secret of the answer
