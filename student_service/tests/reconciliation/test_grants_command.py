"""`manage.py grants`: operators see who waits, lift the cap for a run, or refuse it."""

from __future__ import annotations

from io import StringIO
from uuid import UUID

import pytest
from access_codes.models import AnsweredRun, WaitingGrant
from admit_one.acts.models import Act
from admit_one.messaging.inbox import Result
from django.core.management import CommandError, call_command
from pytest_django import Settings
from uuid_utils.compat import uuid7

from tests.reconciliation.steps import a_run, an_hour_later, ask, issued, report

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_an_hour(settings: Settings) -> None:
    settings.GRANTS_AN_HOUR = 1


def grants(*arguments: object) -> str:
    out = StringIO()
    call_command("grants", *map(str, arguments), stdout=out, stderr=out)
    return out.getvalue()


def a_waiting_run(ids: list[UUID]) -> UUID:
    run = a_run()
    ask(run, ids)
    report()
    return run


def test_a_lifted_run_is_reported_everything_at_once_and_others_still_wait() -> None:
    ids = issued(6)
    other = a_waiting_run(ids[:3])
    run = a_waiting_run(ids[3:])
    said = grants("lift", run, "--reason", "we restored the payment database", "--by", "ada")

    assert said == f"{run}  lifted\n"
    assert report() == [ids[0], *ids[3:]]
    assert [row.run_id for row in WaitingGrant.objects.all()] == [other, other]
    an_hour_later()
    assert report() == [ids[0], *ids[3:], ids[1]]


def test_what_a_lifted_run_asks_for_later_does_not_wait_either() -> None:
    ids = issued(4)
    run = a_waiting_run(ids[:2])
    grants("lift", run, "--reason", "ours")
    report()
    ask(run, ids[2:])

    assert report() == ids


def test_a_refused_run_is_reported_nothing_more_and_what_waits_is_dropped() -> None:
    ids = issued(3)
    run = a_waiting_run(ids)
    grants("refuse", run, "--reason", "nobody there has started it")
    an_hour_later()

    assert report() == ids[:1]
    assert not WaitingGrant.objects.exists()
    [outcome] = ask(run, ids)
    assert outcome.result == Result.REJECTED
    assert "refused" in str(outcome.error)


def test_what_was_decided_is_on_record(caplog: pytest.LogCaptureFixture) -> None:
    run = a_waiting_run(issued(3))
    grants("lift", run, "--reason", "a restored backup", "--by", "ada")
    grants("refuse", run, "--reason", "it was not ours", "--by", "bob")

    acts = Act.objects.order_by("id")
    assert [(a.area, a.action, a.target, a.by, a.reason, a.result) for a in acts] == [
        ("grants", "lift", str(run), "ada", "a restored backup", "done"),
        ("grants", "refuse", str(run), "bob", "it was not ours", "done"),
    ]
    assert [(act.facts["waiting"], act.facts["decision"]) for act in acts] == [
        (2, ""),
        (2, "lifted"),
    ]
    assert f"reconciliation {run} is lifted by ada: a restored backup" in caplog.text


def test_a_rehearsal_changes_nothing() -> None:
    ids = issued(3)
    run = a_waiting_run(ids)
    said = grants("lift", run, "--reason", "ours", "--dry-run")

    assert "2 wait  would be lifted" in said
    assert "nothing was changed" in said
    assert report() == ids[:1]
    assert not Act.objects.exists()


def test_an_unknown_run_or_the_same_again_is_refused_and_the_others_are_decided() -> None:
    run, unknown = a_waiting_run(issued(2)), uuid7()
    grants("lift", run, "--reason", "ours")
    second = a_waiting_run(issued(2))

    with pytest.raises(CommandError, match="2 of 3 runs were not changed"):
        grants("lift", run, unknown, second, "--reason", "ours")
    assert AnsweredRun.objects.get(pk=second).decision == "lifted"
    assert Act.objects.count() == 2


def test_a_reason_is_required() -> None:
    with pytest.raises(CommandError, match="--reason"):
        grants("lift", uuid7())


def test_it_lists_the_share_of_the_hour_the_latest_runs_and_all_that_wait() -> None:
    assert grants("list") == "no runs yet\n"
    run = a_waiting_run(issued(3))
    for _ in range(25):
        a_run()
    said = grants("list").splitlines()

    assert said[0].startswith("1 of 1 grants reported in the hour from ")
    assert len(said) == 1 + 21
    [line] = [line for line in said if str(run) in line]
    assert "paid from 2026-01-02 00:00Z until before 2026-01-03 00:00Z" in line
    assert line.endswith("     2 wait")
