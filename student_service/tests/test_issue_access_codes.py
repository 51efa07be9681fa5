from __future__ import annotations

import threading
from uuid import UUID

import pytest
from access_codes import codes, services
from access_codes.models import AccessCode, MailIntent
from admit_one.contract.envelope import Envelope
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import an_envelope, deliver, published
from django.db import connection, connections, transaction
from pytest_django import DjangoAssertNumQueries
from shared_contracts.events import AccessCodeCreated, UserSubscribed

pytestmark = pytest.mark.django_db


def results(*messages: Envelope[UserSubscribed]) -> list[Result]:
    return [outcome.result for outcome in deliver(*messages)]


def test_a_subscription_gets_a_code_a_mail_and_a_reply() -> None:
    request = an_envelope(UserSubscribed, plan="gold")

    assert results(request) == [Result.HANDLED]

    row = AccessCode.objects.get(subscription_id=request.data.subscription_id)
    (reply,) = published()
    assert isinstance(reply.data, AccessCodeCreated)
    assert reply.data.access_code == row.code
    assert reply.data.issued_at == row.issued_at
    assert reply.data.user_id == request.data.user_id
    assert (reply.causationid, reply.correlationid) == (request.id, request.correlationid)
    mail = row.mails.get()
    assert mail.state == MailIntent.State.PENDING
    assert mail.address == request.data.email
    assert mail.message_id == f"<{mail.id}@admit-one.example>"


def test_the_same_message_again_changes_nothing() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)

    assert results(request) == [Result.DUPLICATE]

    assert (AccessCode.objects.count(), MailIntent.objects.count()) == (1, 1)
    assert len(published()) == 1


def test_a_repeated_request_gets_the_same_code_and_no_new_mail() -> None:
    request = an_envelope(UserSubscribed)
    again = Envelope.of(request.data, cause=request.id)
    deliver(request)

    assert results(again) == [Result.HANDLED]

    first, second = published()
    assert second.data == first.data
    assert second.causationid == again.id
    assert (AccessCode.objects.count(), MailIntent.objects.count()) == (1, 1)


def test_two_requests_in_one_batch_get_one_code() -> None:
    request = an_envelope(UserSubscribed)
    again = Envelope.of(request.data, cause=request.id)

    assert results(request, again) == [Result.HANDLED, Result.HANDLED]

    first, second = published()
    assert first.data == second.data
    assert (AccessCode.objects.count(), MailIntent.objects.count()) == (1, 1)


def test_a_request_for_another_user_is_rejected_and_the_rest_of_the_batch_is_handled() -> None:
    request = an_envelope(UserSubscribed)
    thief = an_envelope(
        UserSubscribed, subscription_id=request.data.subscription_id, user_id="somebody-else"
    )
    neighbour = an_envelope(UserSubscribed)
    deliver(request)

    assert results(thief, neighbour) == [Result.REJECTED, Result.HANDLED]

    assert [reply.causationid for reply in published()] == [request.id, neighbour.id]


def test_a_user_may_have_many_subscriptions() -> None:
    batch = [an_envelope(UserSubscribed) for _ in range(3)]

    assert results(*batch) == [Result.HANDLED] * 3

    assert len({row.code for row in AccessCode.objects.all()}) == 3


def test_a_code_can_be_found_by_what_a_person_types() -> None:
    request = an_envelope(UserSubscribed)
    deliver(request)
    (reply,) = published()
    typed = reply.data.access_code.lower().replace("-", " ")

    row = AccessCode.objects.get(lookup_hash=codes.lookup(codes.normalise(typed)))

    assert row.subscription_id == request.data.subscription_id


def test_the_database_contains_neither_code_nor_address_nor_user_in_clear() -> None:
    request = an_envelope(UserSubscribed, email="ada@example.com")
    deliver(request)
    code = AccessCode.objects.get().code
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows.extend(cursor.fetchall())
    everything = b"\n".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for row in rows
        for value in row
    )

    assert str(request.data.plan).encode() in everything
    assert str(request.data.user_id).encode() not in everything
    for secret in (code, code.replace("-", ""), "ada@example.com"):
        assert secret.encode() not in everything


def test_a_batch_costs_as_many_queries_as_a_single_message(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    batch = [an_envelope(UserSubscribed) for _ in range(250)]
    deliver(*batch[:50])

    with django_assert_max_num_queries(12):
        deliver(*(Envelope.of(message.data) for message in batch))

    assert AccessCode.objects.count() == MailIntent.objects.count() == 250
    assert len(published()) == 300


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_in_any_order_get_one_code_each() -> None:
    requests = [an_envelope(UserSubscribed) for _ in range(500)]
    start = threading.Barrier(4)
    errors: list[Exception] = []

    def consumer(messages: list[Envelope[UserSubscribed]]) -> None:
        start.wait(10)
        try:
            with transaction.atomic():
                services.issue_access_codes(messages)
        except Exception as error:  # noqa: BLE001 (reported below)
            errors.append(error)
        finally:
            connections.close_all()

    orders = [
        requests,
        requests[::-1],
        requests[100:] + requests[:100],
        requests[::2] + requests[1::2],
    ]
    threads = [threading.Thread(target=consumer, args=[order]) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert errors == []
    assert AccessCode.objects.count() == MailIntent.objects.count() == 500
    codes_of: dict[UUID, list[str]] = {}
    for reply in published():
        codes_of.setdefault(reply.data.subscription_id, []).append(reply.data.access_code)
    assert len(codes_of) == 500
    assert {(len(codes), len(set(codes))) for codes in codes_of.values()} == {(4, 1)}
