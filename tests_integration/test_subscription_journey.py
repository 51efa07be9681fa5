"""A paid subscription becomes one access code, in a mailbox and on the payment side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests_integration.harness.deployment import Deployment
from tests_integration.harness.payments import order
from tests_integration.harness.wire import EventRecorder, Message
from tools.system.eventually import eventually


def test_the_code_in_the_mail_is_the_code_in_the_payment_service(deployment: Deployment) -> None:
    [posted] = deployment.subscribe([order()])

    [account] = deployment.accounts([posted])

    assert posted.status == "pending"
    assert posted.access_code is None
    assert account.subscription.access_code is not None
    assert [mail.codes for mail in account.mails] == [(account.subscription.access_code,)]


def test_the_answer_to_a_post_links_to_its_subscription(deployment: Deployment) -> None:
    answer = deployment.payments.post(order())

    looked = deployment.payments.call("GET", answer.headers["Location"])

    assert answer.status == 202
    assert looked.body["id"] == answer.body["id"]


def exchanged(wire: EventRecorder, subscription: str) -> list[Message]:
    """The events about a subscription, without that of its mail, which comes at any time."""
    events = wire.received(subscription)
    return [event for event in events if event["type"] != "access_code_emailed"]


def test_the_reply_names_the_request_as_its_cause(deployment: Deployment) -> None:
    with deployment.wire() as wire:
        [posted] = deployment.subscribe([order()])

        request, reply = eventually(
            lambda: exchanged(wire, posted.id), lambda events: len(events) == 2
        )

    assert (request["type"], reply["type"]) == ("user_subscribed", "access_code_created")
    assert reply["causationid"] == request["id"]
    assert "causationid" not in request
    assert request["correlationid"] == reply["correlationid"] == posted.id


def test_a_cancelled_subscription_has_its_code_revoked_on_both_sides(
    deployment: Deployment,
) -> None:
    [account] = deployment.accounts(deployment.subscribe([order()]))
    subscription = account.subscription
    with deployment.wire() as wire:
        answer = deployment.payments.cancel(subscription.id)
        cancelled, revoked = eventually(
            lambda: exchanged(wire, subscription.id), lambda events: len(events) == 2
        )
        revoked_here = eventually(
            lambda: (
                "code revoked, the student service reports"
                in deployment.system.manage("payment_service", "why", subscription.id)
            )
        )

    shown = deployment.payments.show(subscription.id)
    assert answer.status == 202
    assert (shown.status, shown.access_code) == ("cancelled", subscription.access_code)
    assert (cancelled["type"], revoked["type"]) == ("subscription_cancelled", "access_code_revoked")
    assert revoked["causationid"] == cancelled["id"]
    assert revoked_here


def test_a_repeated_key_gets_the_same_answer_and_creates_nothing(deployment: Deployment) -> None:
    placed = order()
    first = deployment.payments.post(placed)
    [account] = deployment.accounts(deployment.subscribe([placed]))

    again = deployment.payments.post(placed)

    assert (again.status, again.body) == (202, first.body)
    assert again.headers["Location"] == first.headers["Location"]
    assert len(account.mails) == 1


def test_a_hundred_posts_at_once_with_one_key_are_one_subscription(deployment: Deployment) -> None:
    placed = order()
    with ThreadPoolExecutor(100) as clients:
        answers = list(clients.map(deployment.payments.post, [placed] * 100))

    # If the posts had caused another mail, it would arrive before this one.
    later = deployment.accounts(deployment.subscribe([order()]))
    [account] = deployment.accounts(deployment.subscribe([placed]))
    mine = [s for s in deployment.payments.all() if s.user_id == placed.body["user_id"]]

    assert {answer.status for answer in answers} == {202}
    assert {answer.body["id"] for answer in answers} == {account.subscription.id}
    assert [s.id for s in mine] == [account.subscription.id]
    assert len(account.mails) == len(later[0].mails) == 1


def test_one_user_may_hold_several_subscriptions(deployment: Deployment) -> None:
    first = order()
    again = order(**{**first.body, "plan": "silver"})

    accounts = deployment.accounts(deployment.subscribe([first, again]))
    codes = {account.subscription.access_code for account in accounts}
    mailed = {code for mail in accounts[0].mails for code in mail.codes}

    assert len(codes) == 2
    assert mailed == codes
