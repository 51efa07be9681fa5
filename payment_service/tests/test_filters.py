"""The list shows what its filters name, and loses nothing that changes meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from admit_one.database import clock
from admit_one.messaging.testing import deliver
from django.db import connection, transaction
from django.utils import timezone
from subscriptions import lifecycle
from subscriptions.models import STATUSES, Subscription, with_status

from tests.conftest import Api
from tests.factories import a_code_for, a_subscription
from tests.test_paging import walk
from tools.system.eventually import eventually

LONG_AGO = "2026-01-02T03:04:05Z"


def listed(shop: Api, **query: str) -> list[str]:
    """The ids of the list with this query."""
    return [row_id for page in walk(shop, path(**query)) for row_id in page]


def path(**query: str) -> str:
    return f"/v1/subscriptions?{urlencode(query)}"


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def changed(subscription: Subscription) -> str:
    """The last change of a subscription, as the API shows it."""
    return text(Subscription.objects.get(pk=subscription.pk).updated_at)


def active(**changes: Any) -> Subscription:
    subscription = a_subscription(**changes)
    deliver(a_code_for(subscription.id))
    return subscription


def past_due(**changes: Any) -> Subscription:
    subscription = active(**changes)
    lifecycle.mark_past_due(client="shop", subscription_id=subscription.id)
    return subscription


def cancelled(**changes: Any) -> Subscription:
    subscription = active(**changes)
    lifecycle.cancel(client="shop", subscription_id=subscription.id)
    return subscription


def refunded(**changes: Any) -> Subscription:
    subscription = cancelled(**changes)
    lifecycle.refund(client="shop", subscription_id=subscription.id)
    return subscription


def expired(**changes: Any) -> Subscription:
    return active(valid_until=timezone.now() - timedelta(days=1), **changes)


MADE: dict[str, Callable[..., Subscription]] = {
    "pending": a_subscription,
    "active": active,
    "past_due": past_due,
    "expired": expired,
    "cancelled": cancelled,
    "refunded": refunded,
}


@pytest.mark.parametrize("name", ["user_id", "email", "plan"])
def test_a_filter_by_value_shows_those_with_exactly_that_value(shop: Api, name: str) -> None:
    value = "grace@example.com"
    wanted = str(a_subscription(**{name: value if name == "email" else "grace"}).id)
    a_subscription()
    a_subscription(client="other shop", **{name: value if name == "email" else "grace"})
    other_case = value.upper() if name == "email" else "GRACE"

    assert listed(shop, **{name: value if name == "email" else "grace"}) == [wanted]
    assert listed(shop, **{name: other_case}) == []


def test_a_filter_by_status_shows_what_has_it(shop: Api) -> None:
    made = {status: make() for status, make in MADE.items()}

    shown = {status: listed(shop, status=status) for status in made}

    assert shown == {status: [str(row.id)] for status, row in made.items()}


def test_every_subscription_is_found_by_the_status_that_it_shows(shop: Api) -> None:
    soon = timezone.now() + timedelta(days=1)
    for make in MADE.values():
        for valid_until in (None, soon, soon - timedelta(days=2)):
            row = make()
            Subscription.objects.filter(pk=row.pk).update(valid_until=valid_until)
    now = timezone.now()

    statuses = {
        row.id: status
        for status in STATUSES
        for row in Subscription.objects.filter(with_status(status, now))
    }

    assert statuses == {row.id: row.status for row in Subscription.objects.all()}


def test_since_includes_its_moment_and_until_does_not(shop: Api) -> None:
    first, second, third = (a_subscription() for _ in range(3))
    Subscription.objects.filter(pk=second.pk).update(created_at=third.created_at)
    from_second = [str(third.id), str(second.id)]

    assert listed(shop, created_since=text(third.created_at)) == from_second
    assert listed(shop, created_until=text(third.created_at)) == [str(first.id)]
    assert listed(
        shop, created_since=text(first.created_at), created_until=text(third.created_at)
    ) == [str(first.id)]
    assert listed(shop, created_since="2026-01-02t03:04:05.5+01:00", limit="1") == [
        *from_second,
        str(first.id),
    ]


def test_filters_are_kept_from_page_to_page_and_all_must_fit(shop: Api) -> None:
    wanted = [str(active(plan="a&b=c+d%").id) for _ in range(3)]
    active(plan="gold")
    a_subscription(plan="a&b=c+d%")

    pages = walk(shop, path(plan="a&b=c+d%", status="active", limit="1"))

    assert pages == [[row_id] for row_id in wanted[::-1]]


def test_those_recorded_at_the_same_time_are_each_on_one_page(shop: Api) -> None:
    made = sorted(str(a_subscription().id) for _ in range(5))
    Subscription.objects.update(created_at=datetime(2026, 3, 1, tzinfo=UTC))

    assert walk(shop, path(limit="2")) == [made[:2:-1], made[2:0:-1], made[:1]]


NO_TIMES = [
    *("", "now", "1767323045", "2026-01-02", "2026-01-02T03:04:05", "2026-02-29T00:00:00Z"),
    *("2026-01-02T03:04:05 01:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
]
WRONG = {
    "user_id": ["", "a b", "x" * 65, "a\u2028b"],
    "email": ["", "nobody", "a@example.com,b@example.com", "ä@example.com"],
    "plan": ["", "http://gold", "x" * 65],
    "status": ["", "Active", "paid", "active,pending"],
    **dict.fromkeys(("created_since", "created_until", "updated_since"), NO_TIMES),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_value_that_does_not_fit_is_refused_with_what_is_expected(
    shop: Api, name: str, value: str
) -> None:
    answer = shop.get(f"/v1/subscriptions?{name}={quote(value)}&limit=1")

    [fault] = answer.json()["errors"]
    assert (answer.status_code, fault["field"], fault["pointer"]) == (400, name, f"#/{name}")
    assert fault["detail"].startswith("expected ")


def test_the_expired_come_in_the_order_in_which_they_expired(shop: Api) -> None:
    now = timezone.now()
    days = [3, 1, 2, 2_000 * 365]
    rows = {day: active(valid_until=now - timedelta(days=day)) for day in days}
    active(valid_until=now + timedelta(days=1))

    pages = walk(shop, path(status="expired", limit="2"))

    assert pages == [[str(rows[1].id), str(rows[2].id)], [str(rows[3].id), str(rows[days[3]].id)]]


def test_two_orders_at_once_are_refused(shop: Api) -> None:
    both = {"created_until": LONG_AGO, "created_since": LONG_AGO}
    answer, expired_ones = (
        shop.get(path(**both, **other))
        for other in ({"updated_since": LONG_AGO}, {"status": "expired"})
    )

    assert expired_ones.json()["errors"] == answer.json()["errors"]
    faults = {fault["field"]: fault["code"] for fault in answer.json()["errors"]}
    assert (answer.status_code, faults) == (
        400,
        {"created_since": "other_order", "created_until": "other_order"},
    )


def test_a_plus_that_was_sent_as_a_space_is_explained(shop: Api) -> None:
    answer = shop.get("/v1/subscriptions?created_since=2026-01-02T03:04:05+01:00")

    assert "in a URL, + is written %2B" in answer.json()["detail"]


# the order of change


STATEMENTS: dict[str, Callable[[Subscription], Any]] = {
    "a stale save": lambda row: row.save(),
    "an update of many": lambda row: Subscription.objects.filter(pk=row.pk).update(plan="silver"),
    "the same value": lambda row: Subscription.objects.update(plan=row.plan),
    "an older time": lambda row: Subscription.objects.update(updated_at=row.created_at),
    "its code": lambda row: deliver(a_code_for(row.id)),
    "its cancellation": lambda row: lifecycle.cancel(client="shop", subscription_id=row.id),
    "bare SQL": lambda row: sql("UPDATE subscriptions_subscription SET requests = 7"),
}


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_change_of_a_row_raises_the_time_of_its_change(statement: str) -> None:
    row = a_subscription()
    times = [row.updated_at]
    for _ in range(3):
        STATEMENTS[statement](row)
        times.append(Subscription.objects.get().updated_at)

    once = statement in {"its code", "its cancellation"}  # they are idempotent
    assert times[1] > times[0]
    assert once or times == sorted(set(times))


@pytest.mark.django_db
def test_the_time_of_change_is_kept_after_the_last_migration() -> None:
    """A migration that makes an SQLite table again must repeat KeepTimeOfChange."""
    table = Subscription._meta.db_table
    catalogue = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass",
    }
    with connection.cursor() as cursor:
        cursor.execute(catalogue[connection.vendor], [table])
        triggers = [name for (name,) in cursor.fetchall()]

    assert f"{table}_updated_at" in triggers


def test_answers_show_the_time_of_the_last_change(shop: Api) -> None:
    posted = shop.post().json()
    subscription = Subscription.objects.get()
    at_first = changed(subscription)
    answered = shop.http.generic("POST", f"/v1/subscriptions/{subscription.id}/cancel").json()

    assert posted["updated_at"] == at_first
    assert answered["updated_at"] == changed(subscription)
    assert answered["updated_at"] > at_first


@pytest.mark.django_db(transaction=True)
def test_changes_come_in_their_order_and_what_changes_meanwhile_comes_again(shop: Api) -> None:
    first, second, third, fourth = (a_subscription() for _ in range(4))
    active(plan="old")  # of which nothing is asked
    since = changed(first)
    page = following(shop, path(updated_since=since, plan="gold", limit="2"))
    Subscription.objects.filter(pk=first.pk).update(user_id="changed")
    Subscription.objects.filter(pk=third.pk).update(user_id="changed")

    following(shop, path())
    rest = [row_id for ids in walk(shop, page["next"]) for row_id in ids]

    assert [row["id"] for row in page["results"]] == [str(first.id), str(second.id)]
    assert rest == [str(fourth.id), str(first.id), str(third.id)]


def following(shop: Api, address: str) -> dict[str, Any]:
    """The page, once everything that was written is in it: SQLite's clock counts milliseconds."""
    newest = Subscription.objects.order_by("-updated_at").values_list("updated_at", flat=True)[0]
    eventually(clock.changed_before, lambda before: before > newest)
    answer: dict[str, Any] = shop.get(address).json()
    return answer


@pytest.mark.django_db(transaction=True)
def test_many_rows_that_one_statement_changes_are_each_on_one_page(shop: Api) -> None:
    rows = [a_subscription() for _ in range(12)]
    since = changed(rows[-1])
    Subscription.objects.update(plan="silver")
    following(shop, path())

    pages = walk(shop, path(updated_since=since, plan="silver", limit="5"))

    assert [len(page) for page in pages] == [5, 5, 2]
    assert {row_id for page in pages for row_id in page} == {str(row.id) for row in rows}


@pytest.mark.django_db(transaction=True)
def test_a_walk_through_all_changes_loses_none_while_rows_change(shop: Api) -> None:
    rows = [a_subscription() for _ in range(20)]
    expected, seen = {str(row.id): 0 for row in rows}, dict[str, int]()
    address: str | None = path(updated_since=changed(rows[0]), limit="3")
    for amount in range(1, 10_000):
        if address is None:
            break
        page = following(shop, address)
        address = page["next"]
        seen |= {row["id"]: row["amount"] for row in page["results"]}
        if address and amount < 30:  # rows that were read, and rows that were not
            for row in (rows[amount % 20], rows[(amount * 7) % 20]):
                Subscription.objects.filter(pk=row.pk).update(amount=amount)
                expected[str(row.id)] = amount
    else:
        pytest.fail("the walk does not end")

    assert {row_id: seen[row_id] for row_id in expected if expected[row_id]} == {
        row_id: amount for row_id, amount in expected.items() if amount
    }
    assert seen.keys() == expected.keys()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["update", "insert"])
def test_a_change_that_is_committed_late_is_on_a_later_page(shop: Api, change: str) -> None:
    late, soon = a_subscription(), a_subscription()
    since = text(max(row.updated_at for row in Subscription.objects.all()))
    written, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        try:
            with transaction.atomic():
                if change == "update":
                    Subscription.objects.filter(pk=late.pk).update(plan="late")
                else:
                    a_subscription(plan="late")
                written.set()
                assert may_commit.wait(20)
        finally:
            connection.close()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert written.wait(20)
    Subscription.objects.filter(pk=soon.pk).update(plan="soon")
    before = shop.get(path(updated_since=since)).json()
    may_commit.set()
    writer.join()
    after = shop.get(path(updated_since=since)).json()

    plans = [[row["plan"] for row in page["results"]] for page in (before, after)]
    assert "soon" not in plans[0]  # it would be the place from which the client goes on
    assert plans[1][-2:] == ["late", "soon"]


def test_a_cursor_of_the_other_order_is_refused(shop: Api) -> None:
    for _ in range(2):
        a_subscription()
    cursor = shop.get(path(limit="1")).json()["next"].partition("cursor=")[2]

    answer = shop.get(f"{path(limit='1', updated_since=LONG_AGO)}&cursor={cursor}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cursor")


# the header Link


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        ({"HTTP_HOST": "testserver:8443"}, "http://testserver:8443"),
        ({"HTTP_HOST": "testserver", "wsgi.url_scheme": "https"}, "https://testserver"),
        ({"HTTP_X_FORWARDED_HOST": "evil.example"}, "http://testserver"),
    ],
)
def test_link_leads_to_the_next_page_with_the_host_that_the_client_used(
    shop: Api, environ: dict[str, Any], origin: str
) -> None:
    for _ in range(2):
        a_subscription()

    first = shop.http.get(path(limit="1", plan="gold"), **environ)
    last = shop.get(first.json()["next"])

    assert first["Link"] == f'<{origin}{first.json()["next"]}>; rel="next"'
    assert ("Link" in last, last.json()["next"]) == (False, None)


def test_since_a_moment_ago_shows_nothing_old(shop: Api) -> None:
    a_subscription()

    assert listed(shop, updated_since=text(datetime.now(UTC) + timedelta(minutes=1))) == []
