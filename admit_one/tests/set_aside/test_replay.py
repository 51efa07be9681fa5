"""Replaying a set-aside message, really or as a rehearsal, never applies it twice by accident."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Malformed, Rejected, Transient
from admit_one.database import outage
from admit_one.messaging import conf, inbox
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import InboxMessage, SetAside
from admit_one.messaging.set_aside import keeping, replay
from admit_one.messaging.set_aside.replay_results import ReplayOrder, ReplayVerdict
from admit_one.messaging.testing import an_envelope, deliver
from django.db import IntegrityError, OperationalError
from django.db.models.functions import Now

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.models import Effect
from tests.set_aside.steps import kept_by_an_older_release

pytestmark = pytest.mark.django_db(transaction=True)

ADA = ReplayOrder(by="ada")
AGAIN = ReplayOrder(by="ada", reason="the effect was undone by hand", again=True)


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

    assert [answer.verdict for answer in answers] == [ReplayVerdict.APPLIED, ReplayVerdict.SKIPPED]
    row.refresh_from_db()
    assert (row.state, row.replays, row.failed_again) == ("replayed", 1, False)
    assert row.closed_at is not None
    assert Effect.objects.count() == InboxMessage.objects.count() == 1


def test_operator_time_reason_and_result_are_recorded():
    row = kept()

    replay.replay(row.id, ReplayOrder(by="ada", reason="mended for bob@example.com"))

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
    assert (answer.verdict, answer.failed) == (ReplayVerdict.FAILED, True)
    assert (row.state, row.failed_again, row.error) == ("dead", True, "ValueError")
    assert row.fingerprint == "ValueError in test_replay.fail"
    assert Act.objects.get().result == "failed"
    assert InboxMessage.objects.count() == 0
    assert "ada@example.com" not in f"{row.reason} {Act.objects.get().detail}"


def test_a_replay_notes_which_event_an_older_release_could_not_read(monkeypatch, handle):
    handle(fail)
    row = kept_by_an_older_release(monkeypatch)

    replay.rehearse(row.id, ADA)
    row.refresh_from_db()
    assert row.type == ""

    replay.replay(row.id, ADA)
    row.refresh_from_db()
    assert (row.type, row.source) == ("user_subscribed", "/payment_service")


def test_a_message_handled_by_another_delivery_is_only_closed():
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    deliver(envelope)

    answer = replay.replay(row.id, ADA)

    assert answer.verdict == ReplayVerdict.DUPLICATE
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
    monkeypatch.setattr(replay, "_record", die)

    with pytest.raises(Killed):
        replay.replay(row.id, ADA)

    assert Effect.objects.count() == InboxMessage.objects.count() == 0
    monkeypatch.undo()
    assert replay.replay(row.id, ADA).verdict == ReplayVerdict.APPLIED


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

    assert replay.replay(row.id, order).verdict == ReplayVerdict.APPLIED
    assert Act.objects.get().result == "applied"
    assert Effect.objects.count() == 1


def test_a_database_error_caused_by_a_message_counts_against_it(handle):
    handle(insert_a_duplicate)
    row = kept()

    answer = replay.replay(row.id, ADA)

    assert (answer.verdict, SetAside.objects.get().error) == (
        ReplayVerdict.FAILED,
        "IntegrityError",
    )
    assert Effect.objects.count() == 0


def test_a_database_outage_records_no_result(handle, monkeypatch):
    def break_off(messages):
        raise IntegrityError

    handle(break_off)
    monkeypatch.setattr(inbox, "database_works", lambda: False)
    row = kept()

    with pytest.raises(outage.NotNow):
        replay.replay(row.id, ADA)

    row.refresh_from_db()
    assert (row.state, row.error, Act.objects.get().result) == ("dead", "Transient", "")


# again


def test_a_handled_message_is_applied_again_only_on_request():
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    replay.replay(row.id, ADA)

    answer = replay.replay(row.id, AGAIN)

    assert answer.verdict == ReplayVerdict.APPLIED
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

    assert answer.failed
    row.refresh_from_db()
    assert (row.state, row.error) == ("replayed", "Transient")
    assert InboxMessage.objects.get().event_id == envelope.id


def test_another_body_with_a_handled_id_is_never_applied():
    envelope = an_envelope(UserSubscribed)
    deliver(envelope)
    row = kept(envelope.to_json().replace(b"gold", b"lead"))

    assert replay.rehearse(row.id, ADA).verdict == ReplayVerdict.CONTRADICTS
    assert replay.replay(row.id, AGAIN).verdict == ReplayVerdict.CONTRADICTS
    assert Effect.objects.count() == 1


def test_a_message_older_than_the_inbox_is_replayed_only_on_request():
    """A copy may have been handled since, and forgotten: nobody can tell."""
    row = kept()
    SetAside.objects.update(created_at=Now() - timedelta(days=conf.current().INBOX_DAYS + 1))

    assert replay.replay(row.id, ADA).verdict == ReplayVerdict.SKIPPED
    assert Effect.objects.count() == 0
    assert replay.replay(row.id, AGAIN).verdict == ReplayVerdict.APPLIED


def test_a_discarded_message_is_not_replayed():
    row = kept()
    SetAside.objects.update(state="discarded")

    assert replay.replay(row.id, AGAIN).verdict == ReplayVerdict.SKIPPED
    assert Effect.objects.count() == 0


# rehearsed


def handled_already():
    envelope = an_envelope(UserSubscribed)
    row = kept(envelope.to_json())
    deliver(envelope)
    return row


@pytest.mark.parametrize(
    ("make", "handler", "expected"),
    [
        (kept, None, ReplayVerdict.APPLIED),
        (handled_already, None, ReplayVerdict.DUPLICATE),
        (lambda: kept(b"{"), None, ReplayVerdict.UNREADABLE),
        (lambda: kept(an_envelope(AccessCodeCreated).to_json()), None, ReplayVerdict.NO_HANDLER),
        (kept, reject, ReplayVerdict.REJECTED),
        (kept, fail, ReplayVerdict.FAILED),
        (kept, insert_a_duplicate, ReplayVerdict.FAILED),
    ],
)
def test_a_rehearsal_predicts_a_replay_and_changes_nothing(handle, make, handler, expected):
    row = make()
    if handler is not None:
        handle(handler)

    def facts():
        tables = (SetAside, Act, InboxMessage, Effect)
        return [list(table.objects.order_by("id").values()) for table in tables]

    before = facts()

    predicted = replay.rehearse(row.id, ADA)

    assert facts() == before
    assert predicted == replay.replay(row.id, ADA)
    assert predicted.verdict == expected


def test_a_rehearsal_with_again_forgets_nothing():
    row = kept()
    replay.replay(row.id, ADA)

    assert replay.rehearse(row.id, AGAIN).verdict == ReplayVerdict.APPLIED
    assert Effect.objects.count() == InboxMessage.objects.count() == 1


def test_a_rehearsal_wakes_nobody(handle, monkeypatch):
    woken: list[str] = []
    monkeypatch.setattr("admit_one.database.wake_up.notify", woken.append)

    def wake_up(messages):
        from admit_one.messaging import wake  # noqa: PLC0415

        wake.relay()

    handle(wake_up)
    row = kept()

    replay.rehearse(row.id, ADA)
    assert woken == []
    replay.replay(row.id, ADA)
    assert woken == ["outbox"]


def test_forgetting_an_unreadable_message_does_nothing():
    inbox.forget(Received(b"{", "q", fault=Malformed()))
