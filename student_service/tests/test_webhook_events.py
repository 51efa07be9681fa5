"""Each real change of a code is reported once, to the endpoints of every client."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from access_codes import ending, operating
from access_codes.models import AccessCode, Terms
from admit_one.messaging.testing import an_envelope, deliver
from admit_one.webhooks import endpoints
from admit_one.webhooks.endpoints import Owner
from admit_one.webhooks.known import listeners
from admit_one.webhooks.models import Delivery
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from shared_contracts.events import AccessTermsChanged, SubscriptionCancelled, UserSubscribed

from tests.api import Api
from tools.system.eventually import eventually
from tools.system.races import in_a_thread, somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> None:
    listeners.forget()


@pytest.fixture
def endpoint() -> None:
    listen("platform")


def listen(client: str, *, test: bool = False) -> None:
    url = f"https://{client}.example.com/"
    endpoints.create(Owner(client, test), url=url, events=settings.WEBHOOK_EVENTS)


def reported() -> list[str]:
    """The type of each delivery so far, the first one first."""
    return list(Delivery.objects.order_by("id").values_list("type", flat=True))


def issued(**changes: Any) -> UUID:
    """A subscription with its code."""
    request = an_envelope(UserSubscribed, **changes)
    deliver(request)
    return UUID(str(request.data.subscription_id))


def at(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def terms(subscription: UUID, version: int, **changes: Any) -> None:
    same = {"valid_from": None, "valid_until": None, "uses": None, "suspended": False}
    deliver(
        an_envelope(
            AccessTermsChanged, subscription_id=subscription, version=version, **{**same, **changes}
        )
    )


def act(name: str, subscription: UUID, generation: int = 1) -> None:
    getattr(operating, name)(subscription, generation, by="ada", reason="ada@example.com has it")


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize(
    ("acts", "events"),
    [
        (["suspend"], ["suspended"]),
        (["suspend", "reinstate"], ["suspended", "reinstated"]),
        (["reinstate"], []),
        (["revoke"], ["revoked"]),
        (["replace"], ["replaced"]),
    ],
)
def test_what_an_operator_does_is_reported_once(acts: list[str], events: list[str]) -> None:
    subscription = issued()
    for name in acts:
        act(name, subscription)
        act(name, subscription)

    assert reported() == [f"access.{event}" for event in events]


@pytest.mark.usefixtures("endpoint")
def test_a_suspension_by_two_is_reported_once_and_lifted_once() -> None:
    subscription = issued()
    terms(subscription, 1, suspended=True)
    terms(subscription, 2, suspended=True)
    act("suspend", subscription)
    terms(subscription, 3)
    before = reported()
    act("reinstate", subscription)
    terms(subscription, 4)

    assert before == ["access.suspended"]
    assert reported() == ["access.suspended", "access.reinstated"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.usefixtures("endpoint")
def test_it_is_reported_when_both_lift_theirs_at_the_same_moment() -> None:
    subscription = issued()
    terms(subscription, 1, suspended=True)
    act("suspend", subscription)
    with transaction.atomic():
        terms(subscription, 2)
        by_operator = in_a_thread(lambda: act("reinstate", subscription))
        eventually(somebody_waits)
    by_operator.result(30)

    assert reported() == ["access.suspended", "access.reinstated"]


@pytest.mark.usefixtures("endpoint")
def test_a_cancellation_is_reported_as_revoked_once_and_only_of_a_code() -> None:
    subscription, early = issued(), an_envelope(SubscriptionCancelled)
    for _ in range(2):
        deliver(an_envelope(SubscriptionCancelled, subscription_id=subscription))
        deliver(early)
        act("revoke", subscription)

    assert reported() == ["access.revoked"]


@pytest.mark.usefixtures("endpoint")
def test_each_end_is_reported_once_when_it_has_passed() -> None:
    subscription = issued()
    terms(subscription, 1, valid_until=at(1))
    assert (ending.report_ended(), reported()) == (0, [])

    Terms.objects.update(valid_until=at(-0.2))
    assert [ending.report_ended(), ending.report_ended()] == [1, 0]
    end = Terms.objects.get().valid_until
    terms(subscription, 2, valid_until=end, uses=7)  # the same end
    assert ending.report_ended() == 0
    terms(subscription, 3, valid_until=at(-0.1))
    assert [ending.report_ended(), ending.report_ended()] == [1, 0]

    assert reported() == ["access.expired", "access.expired"]


@pytest.mark.usefixtures("endpoint")
def test_no_end_is_reported_of_a_revoked_code_or_long_after() -> None:
    revoked, old = issued(), issued()
    for subscription, days in ((revoked, -1), (old, -8)):
        terms(subscription, 1, valid_until=at(days))
    act("revoke", revoked)
    ending.report_ended()

    assert reported() == ["access.revoked"]


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("in_one_statement", [True, False])
def test_a_redemption_is_reported_if_it_is_counted(platform: Api, in_one_statement: bool) -> None:
    subscription = issued()
    code = AccessCode.objects.get(pk=subscription).code
    headers = {} if in_one_statement else {"key": "one"}
    for _ in range(2):
        assert platform.redeem(code, reference="use-1", **headers)["valid"]
    terms(subscription, 1, uses=1)
    assert not platform.redeem(code, reference="use-2")["valid"]
    assert not platform.redeem("7K3M-Q9TX-2WBD-H5RN")["valid"]

    [delivery] = Delivery.objects.all()
    assert delivery.type == "access.redeemed"
    assert json.loads(delivery.body)["data"] == {
        "access_id": f"{subscription}.1",
        "subscription_id": str(subscription),
        "uses": 1,
    }


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such statements")
def test_a_redemption_is_one_statement_with_its_webhooks(platform: Api) -> None:
    listen("platform")
    listen("other")
    code = AccessCode.objects.get(pk=issued()).code
    listeners.to("access.redeemed")
    platform.redeem(code)
    with CaptureQueriesContext(connection) as queries:
        platform.redeem(code)

    texts = [query["sql"] for query in queries]
    sent = [text for text in texts if text.startswith("WITH")]
    assert len(sent) == 2  # one to look it up, one to count it
    assert sent[1].count("webhooks_delivery") == 2
    assert not [text for text in texts if text.startswith("INSERT")]
    assert Delivery.objects.count() == 4


def test_a_redemption_costs_no_query_more_for_webhooks(platform: Api) -> None:
    code = AccessCode.objects.get(pk=issued()).code
    platform.redeem(code)
    with CaptureQueriesContext(connection) as queries:
        platform.redeem(code)

    assert "webhooks" not in "".join(query["sql"] for query in queries)


def test_every_client_hears_of_every_code_but_tests_are_apart() -> None:
    listen("platform")
    listen("other")
    listen("other", test=True)
    act("suspend", issued())
    act("suspend", issued(test=True))

    rows = Delivery.objects.select_related("endpoint").order_by("id")
    heard = [(row.endpoint.client, row.endpoint.test) for row in rows]
    assert sorted(heard[:2]) == [("other", False), ("platform", False)]
    assert heard[2:] == [("other", True)]


@pytest.mark.usefixtures("endpoint")
def test_a_body_has_ids_and_states_and_nothing_else(platform: Api) -> None:
    subscription = issued(email="ada@example.com", user_id="user-42", valid_until=at(1))
    code = AccessCode.objects.get(pk=subscription).code
    platform.redeem(code, reference="use-of-ada")
    for name in ("suspend", "reinstate", "replace"):
        act(name, subscription)
    act("revoke", subscription, 2)

    bodies = list(Delivery.objects.values_list("body", flat=True))
    assert len(bodies) == 5
    successor = AccessCode.objects.get(pk=subscription).code
    for body in bodies:
        known = ("ada", "user-42", "use-of", code, successor, code.replace("-", ""))
        assert not [secret for secret in known if secret in body]
        assert json.loads(body)["data"].keys() <= {"access_id", "subscription_id", "uses"}
