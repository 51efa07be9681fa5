"""`manage.py reconcile` reports drift in its output and exit code, and never shows a code."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from admit_one.acts.models import Act
from admit_one.messaging.testing import deliver
from admit_one.sealing.canaries import canary
from admit_one.sealing.models import KeyCanary
from django.core.management import CommandError, call_command
from pytest_django import Settings
from subscriptions.models import ReconciliationRun, Subscription
from uuid_utils.compat import uuid7

from tests.factories import CODE, OTHER_CODE
from tests.reconciliation.both_sides import codes, compared, paid, reported

pytestmark = pytest.mark.django_db


def reconcile(*arguments: str) -> tuple[str, int]:
    """Its output and exit code."""
    out = StringIO()
    try:
        call_command("reconcile", *arguments, stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    except CommandError as error:
        return out.getvalue() + str(error), error.returncode
    return out.getvalue(), 0


def test_a_clean_run_has_exit_code_0_and_a_count() -> None:
    run = compared(codes(paid(3)))
    text, code = reconcile("show", str(run.id))

    assert code == 0
    assert "compared    3 subscriptions\nresult      both sides agree\n" in text


def test_drift_has_exit_code_1_and_shows_the_command_that_repairs_it() -> None:
    lost, differs = paid(2)
    run = compared({differs: OTHER_CODE})
    text, code = reconcile("show", str(run.id))

    assert code == 1
    assert "the student side has lost the code: 1 open" in text
    assert "the student side has another code: 1 open" in text
    assert all(str(subscription) in text for subscription in (lost, differs))
    assert f"reconcile --repair --from {run.since.isoformat()} --to {run.until.isoformat()}" in text
    assert not {CODE, OTHER_CODE, "ada@"} & set(text.split())


def test_a_window_whose_start_would_lie_before_all_time_is_refused_by_name() -> None:
    text, code = reconcile("--to", "0001-01-03")

    assert code == 2
    assert "expected the start of the window too" in text
    assert "before 0001-01-03" in text


def test_without_a_result_in_time_the_exit_code_is_3() -> None:
    paid()
    text, code = reconcile("--wait", "0")

    run = ReconciliationRun.objects.get()
    assert code == 3
    assert f"it continues in the background; manage.py reconcile show {run.id}" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--to", "2999-01-01"], "expected a window that ends by"),
        (["--from", "yesterday"], "expected a date or time such as"),
        (["show", str(uuid7())], "see manage.py reconcile list"),
        (["adopt", "--client", "nobody", str(uuid7())], "no API key belongs to 'nobody'"),
    ],
)
def test_wrong_usage_is_refused_with_what_is_expected(arguments: list[str], complaint: str) -> None:
    text, code = reconcile(*arguments)

    assert complaint in text
    assert code in {1, 2}
    assert not ReconciliationRun.objects.exists()


def test_a_date_is_in_utc() -> None:
    reconcile("--from", "2026-01-01", "--to", "2026-01-02T12:00+02:00", "--wait", "0")

    run = ReconciliationRun.objects.get()
    assert (run.since.isoformat(), run.until.isoformat()) == (
        "2026-01-01T00:00:00+00:00",
        "2026-01-02T10:00:00+00:00",
    )


def test_the_list_shows_each_run_on_a_line() -> None:
    nothing, _ = reconcile("list")
    run = compared(codes(paid()))
    text, _ = reconcile("list")

    assert nothing == "no runs yet\n"
    assert text.startswith(f"{run.id}  ")
    assert "clean" in text


def test_adopt_assigns_a_recovered_subscription_to_its_client(shop: Any) -> None:
    unpaid = uuid7()
    compared({unpaid: CODE}, repair=True)
    deliver(reported(unpaid))
    hint, _ = reconcile("show", str(ReconciliationRun.objects.get().id))
    text, code = reconcile("adopt", "--client", "shop", str(unpaid))
    again, code_again = reconcile("adopt", "--client", "shop", str(unpaid))

    assert (text, code) == ("1 subscriptions now belong to shop\n", 0)
    assert "next        manage.py reconcile adopt --client NAME" in hint
    assert Subscription.objects.get().client == "shop"
    assert (code_again, "1 others do not belong to 'recovered'" in again) == (1, True)


def test_adopt_all_assigns_every_recovered_subscription_and_no_other(shop: Any) -> None:
    [own] = paid()
    Subscription.objects.update(client="other shop")
    unpaid = [uuid7(), uuid7()]
    compared(codes(unpaid) | codes([own]), repair=True)
    deliver(*map(reported, unpaid))
    text, code = reconcile("adopt", "--client", "shop", "--all")

    assert (text, code) == ("2 subscriptions now belong to shop\n", 0)
    assert set(Subscription.objects.of("shop").values_list("id", flat=True)) == set(unpaid)
    assert Subscription.objects.get(id=own).client == "other shop"


def test_adopt_without_an_id_or_all_is_refused() -> None:
    with pytest.raises(CommandError, match="required"):
        call_command("reconcile", "adopt", "--client", "shop")


def test_a_wrong_sealing_key_starts_no_run(settings: Settings) -> None:
    [kid, *_] = settings.SEALING_KEYS
    other = canary(b"of another key")
    KeyCanary.objects.create(setting="SEALING_KEYS", key_id=kid, value=other)

    text, code = reconcile("--wait", "0")

    assert code == 2
    assert f"SEALING_KEYS: expected the key {kid!r}" in text
    assert not ReconciliationRun.objects.exists()


def test_an_act_records_who_started_a_run() -> None:
    reconcile("--repair", "--wait", "0")

    [act] = Act.objects.all()
    run = ReconciliationRun.objects.get()
    assert (act.area, act.action, act.target) == ("reconciliation", "repair", str(run.id))
