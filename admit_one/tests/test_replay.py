"""A set-aside message replayed: for good or on trial, once, and never by accident twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Malformed, Rejected, Transient
from admit_one.database import outage
from admit_one.messaging import conf, inbox, probe
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import InboxMessage, SetAside
from admit_one.messaging.set_aside import keeping, replay
from admit_one.messaging.set_aside.replay import Order, Verdict
from admit_one.messaging.testing import an_envelope, deliver
from django.db import IntegrityError, OperationalError
from django.db.models.functions import Now
from shared_contracts.events import AccessCodeCreated, UserSubscribed

from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)

ADA = Order(by="ada")
AGAIN = Order(by="ada", reason="the effect was undone by hand", again=True)


def kept(body: bytes = b"", *, error: Exception | None = None) -> SetAside:
    message = Received.read(body or an_envelope(UserSubscribed).to_json(), queue="q")
    keeping.keep(message, error or Transient("later"), dead=True)
    return SetAside.objects.latest("id")


def fail(messages):
    raise ValueError("no such plan for ada@example.com")


def reject(messages):
    return [Rejected(message, "it was cancelled") for message in messages]


def insert_a_duplicate(messages):
    Effect.objects.create(id=1, subscription_id=messages[0].data.subscription_id)
    Effect.objects.create(id=1, subscription_id=messages[0].data.subscription_id)


class Killed(BaseException):
    """As good as a kill: nothing of ours catches it."""


def test_a_message_that_now_works_is_applied_once_and_closed():
    row = kept()

    answers = [replay.replay(row.id, ADA) for _ in range(2)]

    assert [answer.verdict for answer in answers] == [Verdict.APPLIED, Verdict.SKIPPED]
    row.refresh_from_db()
    assert (row.state, row.replays, row.came_back) == ("replayed", 1, False)
    assert row.closed_at is not None
    assert Effect.objects.count() == InboxMessage.objects.count() == 1


def test_operator_time_reason_and_result_are_recorded():
    row = kept()

    replay.replay(row.id, Order(by="ada", reason="mended for bob@example.com"))

    act = Act.objects.get()
    assert (act.action, act.by, act.reason, act.result) == (
        "replay",
        "ada",
        "mended for b…@e….com",
        "applied",
    )
    assert (act.target, act.facts) == (
        str(row.id),
        {"event_id": row.event_id, "type": "user_subscribed"},
    )


def test_a_message_that_fails_again_stays_dead_with_the_new_error(handle):
    handle(fail)
    row = kept()

    answer = replay.replay(row.id, ADA)

    row.refresh_from_db()
    assert (answer.verdict, answer.came_back) == (Verdict.FAILED, True)
    assert (row.state, row.came_back, row.error) == ("dead", True, "ValueError")
    assert row.fingerprint == "ValueError in test_replay.fail"
    assert Act.objects.get().result == "failed"
    assert InboxMessage.objects.count() == 0
    assert "ada@example.com" not in f"{row.reason} {Act.objects.get().detail}"


def test_a_message_handled_by_another_delivery_is_only_closed():
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    deliver(envelope)

    answer = replay.replay(row.id, ADA)

    assert answer.verdict == Verdict.DUPLICATE
    assert SetAside.objects.get().state == "replayed"
    assert Effect.objects.count() == 1


def test_a_message_that_ends_its_process_leaves_an_unfinished_act(handle):
    def die(messages):
        raise Killed

    handle(die)
    row = kept()

    with pytest.raises(Killed):
        replay.replay(row.id, ADA)

    row.refresh_from_db()
    assert (row.state, row.replays) == ("dead", 1)
    assert (Act.objects.get().result, InboxMessage.objects.count()) == ("", 0)


def test_a_process_that_ends_after_the_effect_leaves_nothing_behind(monkeypatch):
    def die(*_):
        raise Killed

    row = kept()
    monkeypatch.setattr(replay, "_keep", die)

    with pytest.raises(Killed):
        replay.replay(row.id, ADA)

    assert Effect.objects.count() == InboxMessage.objects.count() == 0
    monkeypatch.undo()
    assert replay.replay(row.id, ADA).verdict == Verdict.APPLIED


@pytest.mark.parametrize("order", [ADA, AGAIN])
def test_a_commit_with_a_lost_answer_is_not_repeated(monkeypatch, order):
    row = kept()
    lost = [OperationalError("the connection broke after the commit")]
    whole = replay._applied

    def answer_lost(*arguments):
        answer = whole(*arguments)
        if lost:
            raise lost.pop()
        return answer

    monkeypatch.setattr(replay, "_applied", answer_lost)

    assert replay.replay(row.id, order).verdict == Verdict.APPLIED
    assert Act.objects.get().result == "applied"
    assert Effect.objects.count() == 1


def test_a_database_error_caused_by_a_message_counts_against_it(handle):
    handle(insert_a_duplicate)
    row = kept()

    answer = replay.replay(row.id, ADA)

    assert (answer.verdict, SetAside.objects.get().error) == (Verdict.FAILED, "IntegrityError")
    assert Effect.objects.count() == 0


def test_a_database_outage_records_no_result(handle, monkeypatch):
    def break_off(messages):
        raise IntegrityError

    handle(break_off)
    monkeypatch.setattr(probe, "database_works", lambda: False)
    row = kept()

    with pytest.raises(outage.LetGo):
        replay.replay(row.id, ADA)

    row.refresh_from_db()
    assert (row.state, row.error, Act.objects.get().result) == ("dead", "Transient", "")


# again


def test_a_handled_message_is_applied_again_only_on_request():
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    replay.replay(row.id, ADA)

    answer = replay.replay(row.id, AGAIN)

    assert answer.verdict == Verdict.APPLIED
    assert Effect.objects.count() == 2
    assert InboxMessage.objects.count() == 1
    assert Act.objects.latest("id").action == "again"
    assert deliver(envelope)[0].result == "duplicate"


@pytest.mark.parametrize("handler", [fail, reject])
def test_a_failed_second_application_is_still_remembered_as_handled(handle, handler):
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    replay.replay(row.id, ADA)
    handle(handler)

    answer = replay.replay(row.id, AGAIN)

    assert answer.came_back
    row.refresh_from_db()
    assert (row.state, row.error) == ("replayed", "Transient")
    assert InboxMessage.objects.get().event_id == envelope.id


def test_another_body_with_a_handled_id_is_never_applied():
    envelope = an_envelope(UserSubscribed)
    deliver(envelope)
    row = kept(envelope.to_json().replace(b"gold", b"lead"))

    assert replay.trial(row.id, ADA).verdict == Verdict.CONTRADICTS
    assert replay.replay(row.id, AGAIN).verdict == Verdict.CONTRADICTS
    assert Effect.objects.count() == 1


def test_a_message_older_than_the_inbox_is_replayed_only_on_request():
    """A copy may have been handled since, and forgotten: nobody can tell."""
    row = kept()
    SetAside.objects.update(created_at=Now() - timedelta(days=conf.current().INBOX_DAYS + 1))

    assert replay.replay(row.id, ADA).verdict == Verdict.SKIPPED
    assert Effect.objects.count() == 0
    assert replay.replay(row.id, AGAIN).verdict == Verdict.APPLIED


def test_a_discarded_message_is_not_replayed():
    row = kept()
    SetAside.objects.update(state="discarded")

    assert replay.replay(row.id, AGAIN).verdict == Verdict.SKIPPED
    assert Effect.objects.count() == 0


# on trial


def handled_already():
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    deliver(envelope)
    return row


@pytest.mark.parametrize(
    ("make", "handler", "expected"),
    [
        (kept, None, Verdict.APPLIED),
        (handled_already, None, Verdict.DUPLICATE),
        (lambda: kept(b"{"), None, Verdict.UNREADABLE),
        (lambda: kept(an_envelope(AccessCodeCreated).to_json()), None, Verdict.NO_HANDLER),
        (kept, reject, Verdict.REJECTED),
        (kept, fail, Verdict.FAILED),
        (kept, insert_a_duplicate, Verdict.FAILED),
    ],
)
def test_a_trial_predicts_a_replay_and_changes_nothing(handle, make, handler, expected):
    row = make()
    if handler is not None:
        handle(handler)

    def facts():
        tables = (SetAside, Act, InboxMessage, Effect)
        return [list(table.objects.order_by("id").values()) for table in tables]

    before = facts()

    predicted = replay.trial(row.id, ADA)

    assert facts() == before
    assert predicted == replay.replay(row.id, ADA)
    assert predicted.verdict == expected


def test_a_trial_with_again_forgets_nothing():
    row = kept()
    replay.replay(row.id, ADA)

    assert replay.trial(row.id, AGAIN).verdict == Verdict.APPLIED
    assert Effect.objects.count() == InboxMessage.objects.count() == 1


def test_a_trial_wakes_nobody(handle, monkeypatch):
    woken: list[str] = []
    monkeypatch.setattr("admit_one.database.wake_up.notify", woken.append)

    def wake_up(messages):
        from admit_one.messaging import wake  # noqa: PLC0415

        wake.relay()

    handle(wake_up)
    row = kept()

    replay.trial(row.id, ADA)
    assert woken == []
    replay.replay(row.id, ADA)
    assert woken == ["outbox"]


def test_forgetting_an_unreadable_message_does_nothing():
    inbox.forget(Received(b"{", "q", fault=Malformed()))
