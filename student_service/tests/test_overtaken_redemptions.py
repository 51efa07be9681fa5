"""A redemption locks no code before it decides, and is decided again if somebody was faster."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest
from access_codes import operating, redeeming, uses
from access_codes.admission import Reason
from access_codes.models import AccessCode, Redemption, Terms
from access_codes.redeeming import Question
from admit_one.messaging.testing import published
from django.db import connection, transaction
from shared_contracts.events import AccessCodeRedeemed

from tests.test_admission import issued, set_terms
from tools.system.eventually import eventually
from tools.system.races import in_a_thread, somebody_waits

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]

of_an_operator = pytest.mark.parametrize(
    ("act", "reason"),
    [(operating.revoke, Reason.REVOKED), (operating.suspend, Reason.SUSPENDED)],
)


def redeem(row: AccessCode, reference: str | None = None) -> Reason:
    return redeeming.redeem(Question(row.code, reference=reference), client="platform").reason


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Has `act` done once, when the next redemption has decided and not written yet."""
    count, left = uses.count_if_unchanged, [act]

    def counted(*args: object) -> bool:
        if left:
            in_a_thread(left.pop()).result(30)
        return count(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(uses, "count_if_unchanged", counted)


def reported() -> list[int]:
    return sorted(m.data.uses for m in published() if isinstance(m.data, AccessCodeRedeemed))


def test_the_last_use_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    row = issued()
    set_terms(row, uses=1)
    between(monkeypatch, lambda: redeem(row))

    assert redeem(row) == Reason.USED_UP
    assert (Redemption.objects.count(), reported()) == (1, [1])


def test_another_use_is_counted_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    row = issued()
    between(monkeypatch, lambda: redeem(row))

    assert redeem(row) == Reason.OK
    row.refresh_from_db()
    assert (row.uses, Redemption.objects.count(), reported()) == (2, 2, [1, 2])


def test_the_same_use_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    row = issued()
    between(monkeypatch, lambda: redeem(row, "order-7"))

    assert redeem(row, "order-7") == Reason.OK
    row.refresh_from_db()
    assert (row.uses, Redemption.objects.count(), reported()) == (1, 1, [1])


def test_the_code_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    row = issued()
    between(monkeypatch, lambda: operating.replace(row.pk, 1, by="ada", reason="leaked"))

    assert redeem(row) == Reason.REPLACED
    assert (Redemption.objects.count(), reported()) == (0, [])


@of_an_operator
def test_an_operator_has_acted(
    monkeypatch: pytest.MonkeyPatch, act: Callable[..., AccessCode], reason: Reason
) -> None:
    row = issued()
    between(monkeypatch, lambda: act(row.pk, 1, by="ada", reason="a test"))

    assert redeem(row) == reason
    assert (Redemption.objects.count(), reported()) == (0, [])


@pytest.mark.parametrize("known", [True, False])
def test_its_terms_have_changed(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    row = issued()
    if known:
        set_terms(row, uses=5)
    none_left = {"version": 2, "uses": 0}
    between(
        monkeypatch, lambda: Terms.objects.update_or_create(access_code=row, defaults=none_left)
    )

    assert redeem(row) == Reason.USED_UP
    assert (Redemption.objects.count(), reported()) == (0, [])


@of_an_operator
def test_it_waits_for_an_operator_who_is_acting_on_the_code(
    act: Callable[..., AccessCode], reason: Reason
) -> None:
    row = issued()
    acted, commit = Event(), Event()

    def operate() -> None:
        with transaction.atomic():
            act(row.pk, 1, by="ada", reason="a test")
            acted.set()
            assert commit.wait(30)

    operator = in_a_thread(operate)
    assert acted.wait(30)
    redemption = in_a_thread(lambda: redeem(row))
    eventually(somebody_waits)
    commit.set()
    operator.result(30)
    assert redemption.result(30) == reason
    assert Redemption.objects.count() == 0


def test_many_at_once_count_as_many_as_there_are_uses() -> None:
    row = issued()
    set_terms(row, uses=30)

    asked = [in_a_thread(lambda: [redeem(row) for _ in range(5)]) for _ in range(8)]
    reasons = sorted(reason for each in asked for reason in each.result(60))

    assert reasons == [Reason.OK] * 30 + [Reason.USED_UP] * 10
    row.refresh_from_db()
    assert (row.uses, Redemption.objects.count()) == (30, 30)
    assert reported() == list(range(1, 31))
