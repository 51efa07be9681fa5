"""What happens is written for whoever listens, in its transaction, and costs others nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from admit_one.contract.errors import NotInTransaction
from admit_one.database import together
from admit_one.sealing.rotation import rotate
from admit_one.webhooks import About, endpoints, heard, known, report, retention
from admit_one.webhooks.endpoints import MOST, NotPossible, Owner
from admit_one.webhooks.models import Delivery, Endpoint
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.effects import Failed, add, users
from tests.webhooks.steps import ENDED, MADE, SHOP, THING, an_endpoint, happen

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://shop.example.com/hooks"


def receivers() -> list[str]:
    return sorted(str(row.endpoint.url) for row in Delivery.objects.select_related("endpoint"))


def test_only_the_owner_and_what_it_listens_to_gets_a_delivery() -> None:
    an_endpoint(f"{URL}/made", MADE)
    an_endpoint(f"{URL}/both")
    an_endpoint(f"{URL}/ended", ENDED)
    an_endpoint(f"{URL}/other", owner=Owner("other", test=False))
    an_endpoint(f"{URL}/test", owner=Owner("shop", test=True))
    happen(MADE)

    assert receivers() == [f"{URL}/both", f"{URL}/made"]


def test_what_is_no_clients_is_for_every_client() -> None:
    an_endpoint(f"{URL}/shop")
    an_endpoint(f"{URL}/other", owner=Owner("other", test=False))
    an_endpoint(f"{URL}/test", owner=Owner("other", test=True))
    happen(MADE, About({"thing_id": "t-1"}))

    assert receivers() == [f"{URL}/other", f"{URL}/shop"]


def test_a_test_is_heard_by_endpoints_of_test_keys_only() -> None:
    an_endpoint(f"{URL}/shop")
    an_endpoint(f"{URL}/test", owner=Owner("shop", test=True))
    happen(MADE, THING._replace(test=True))

    assert receivers() == [f"{URL}/test"]


def test_without_an_endpoint_nothing_is_asked_of_the_database_or_of_what_happened() -> None:
    heard(MADE)  # reads who listens, once in five seconds

    def fail() -> Iterator[About]:
        raise AssertionError
        yield THING

    with CaptureQueriesContext(connection) as queries:
        report(MADE, fail())

    assert len(queries) == 0


def test_a_new_endpoint_hears_after_five_seconds_in_every_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard(MADE)
    with monkeypatch.context() as patch:  # as if another process had made it
        patch.setattr(known.listeners, "forget", lambda: None)
        an_endpoint(URL)
    happen()
    before = Delivery.objects.count()
    later = time.monotonic() + known.KEPT
    monkeypatch.setattr(time, "monotonic", lambda: later)
    happen()

    assert (before, Delivery.objects.count()) == (0, 1)


def test_a_transaction_that_fails_reports_nothing() -> None:
    an_endpoint(URL)
    with suppress(Failed), transaction.atomic():
        report(MADE, [THING])
        raise Failed

    assert Delivery.objects.count() == 0


def test_outside_a_transaction_nothing_can_be_reported() -> None:
    an_endpoint(URL)

    with pytest.raises(NotInTransaction):
        report(MADE, [THING])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such statements")
def test_in_a_transaction_of_one_statement_it_is_a_part_of_it() -> None:
    an_endpoint(f"{URL}/1")
    an_endpoint(f"{URL}/2")
    heard(MADE)
    with CaptureQueriesContext(connection) as queries, together.transaction():
        add("ada")
        report(MADE, [THING])

    # Django writes down BEGIN and COMMIT, which are not sent.
    sent = [query["sql"] for query in queries if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    assert len(sent) == 1
    assert Delivery.objects.count() == 2
    assert users() == ["ada"]


def test_a_transaction_that_was_overtaken_reports_nothing() -> None:
    an_endpoint(URL)
    heard(MADE)
    with suppress(together.Overtaken), together.transaction():
        together.only_if("UPDATE tests_effect SET user_id = 'x' WHERE user_id = %s", ["nobody"])
        report(MADE, [THING])

    assert Delivery.objects.count() == 0


def test_a_disabled_or_deleted_endpoint_hears_nothing_more() -> None:
    disabled, _ = an_endpoint(f"{URL}/disabled")
    deleted, _ = an_endpoint(f"{URL}/deleted")
    Endpoint.objects.filter(pk=disabled.pk).update(disabled_at=timezone.now())
    assert endpoints.delete(SHOP, deleted.pk)
    happen()

    assert Delivery.objects.count() == 0


def test_an_endpoint_that_is_gone_fails_no_transaction_of_who_still_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    an_endpoint(URL)
    heard(MADE)
    Endpoint.objects.all()._raw_delete("default")
    happen()

    assert Delivery.objects.count() == 1


def test_a_client_has_so_many_endpoints_and_no_more() -> None:
    for number in range(MOST):
        an_endpoint(f"{URL}/{number}")

    with pytest.raises(NotPossible):
        an_endpoint(URL)
    an_endpoint(URL, owner=Owner("other", test=False))


def test_old_deliveries_and_deleted_endpoints_are_pruned() -> None:
    gone, _ = an_endpoint(f"{URL}/gone")
    an_endpoint(f"{URL}/stays")
    happen()
    endpoints.delete(SHOP, gone.pk)
    Endpoint.objects.filter(pk=gone.pk).update(deleted_at=timezone.now() - timedelta(hours=1))

    assert retention.prune(lambda: True) == 1
    assert [endpoint.url for endpoint in Endpoint.objects.all()] == [f"{URL}/stays"]

    [young] = Delivery.objects.all()
    age = int(timedelta(days=46).total_seconds() * 1_000)
    old = type(young.pk)(int=young.pk.int - (age << 80))
    Delivery.objects.filter(pk=young.pk).update(id=old)
    assert retention.prune(lambda: True) == 1


def test_secrets_rest_sealed_and_are_resealed(settings: Any) -> None:
    endpoint, secret = an_endpoint(URL)
    endpoints.rotate(SHOP, endpoint.pk)
    [row] = Endpoint.objects.all()
    assert secret.encode() not in bytes(row.secret) + bytes(row.previous_secret or b"")

    settings.SEALING_KEYS = {"k9": b"9" * 32, **settings.SEALING_KEYS}
    rotate(lambda *_: None)
    [row] = Endpoint.objects.all()

    for value in (row.secret, row.previous_secret):
        assert bytes(value or b"")[1:3] == b"k9"
