"""Another provider is one file: a class as this one, and its line in the registry."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from admit_one.contract import strict_json
from admit_one.erasure.definition import Person
from django.test import Client
from providers import persons
from providers.commands import Command, Ignore, Record, Refund
from providers.parts import Part
from providers.provider import Event, Forged
from providers.registry import PROVIDERS

from tests.providers.stripe_steps import the_subscription

pytestmark = pytest.mark.django_db

KEY = b"a key of thirty-two characters.."


class Penny:
    name = "penny"

    def is_on(self) -> bool:
        return True

    def client(self) -> str:
        return "penny-shop"

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        if not hmac.compare_digest(headers.get("Penny-Mac", "").encode(), mac(body)):
            raise Forged("expected a Penny-Mac of this body")

    def read(self, body: bytes) -> Event:
        sent = Part(strict_json.loads(body))
        return Event(
            id=sent.id("no"),
            type=sent.id("kind"),
            created_at=datetime(2026, 11, 28, tzinfo=UTC),
            test=False,
            content=sent,
        )

    def command(self, event: Event) -> Command:
        sale = event.content.id("sale")
        match event.type:
            case "sold":
                sold = event.content.value
                money: dict[str, Any] = {"amount": sold["cents"], "currency": "EUR"}
                who: dict[str, Any] = {
                    each: sold.get(each) for each in ("user_id", "email", "plan")
                }
                return Record(subject=sale, lacks="them in the body", **money, **who)
            case "returned":
                return Refund(subject=sale)
        return Ignore(reason="of no interest")

    def person(self, event: Event) -> Person:
        content = event.content
        return Person(user_ids=content.texts("user_id"), emails=content.texts("email"))

    def recurs(self, external_id: str) -> bool:
        return False  # each sale is paid once


def mac(body: bytes) -> bytes:
    return hmac.digest(KEY, body, "sha256").hex().encode()


def penny_sends(**sent: Any) -> Any:
    body = json.dumps(sent).encode()
    headers = {"Penny-Mac": mac(body).decode()}
    return Client().generic("POST", "/v1/webhooks/penny", body, headers=headers).json()


def test_another_provider_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "penny", Penny())
    sold = {"sale": "s1", "cents": 900, "user_id": "u1", "email": "ada@example.com", "plan": "gold"}
    results = [
        penny_sends(no="1", kind="returned", sale="s1"),
        penny_sends(no="2", kind="sold", **sold),
        penny_sends(no="2", kind="sold", **sold),
    ]

    row = the_subscription()
    assert [each["result"] for each in results] == ["unmatched", "handled", "duplicate"]
    assert (row.client, row.amount, row.status) == ("penny-shop", 900, "refunded")


def test_whom_another_provider_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, "penny", Penny())
    penny_sends(no="1", kind="sold", sale="s1", cents=900, user_id="u1", email="ada@example.com")

    clients = [*persons.find(Person(user_ids=["u1"])).subjects.values()]
    assert clients == ["penny-shop"]
    assert persons.find(Person(emails=["ada@example.com"], clients=["shop"])).subjects == {}
