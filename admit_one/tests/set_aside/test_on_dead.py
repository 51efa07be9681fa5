"""A readable message that dies calls ON_DEAD of the service: both happen, or neither."""

from __future__ import annotations

from datetime import timedelta

import pytest
from admit_one.contract.errors import Malformed, Rejected, Transient
from admit_one.messaging import conf
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import acts, keeping, retrying
from admit_one.messaging.testing import an_envelope
from django.contrib.auth.models import Permission
from django.db import IntegrityError, OperationalError, connection
from django.db.models.functions import Now

from tests import handlers
from tests.consumer.steps import requests, send
from tests.contract.events import UserSubscribed
from tests.models import Effect
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """As good as a kill: nothing of ours catches it."""


@pytest.fixture
def on_dead(monkeypatch):
    """Put an ON_DEAD into the wiring."""

    def wire(function):
        monkeypatch.setattr(handlers, "ON_DEAD", function, raising=False)

    return wire


@pytest.fixture
def calls(on_dead):
    """What ON_DEAD was called with; it writes a row, too."""
    calls: list[tuple[str, str]] = []

    def note(envelope, reason):
        calls.append((envelope.id, reason))
        write(envelope)

    on_dead(note)
    return calls


def write(envelope):
    Effect.objects.create(subscription_id=envelope.data.subscription_id, user_id="dead")


def received(envelope) -> Received:
    return Received.read(envelope.to_json(), queue="student_service.inbox")


def keep_for_its_last_retry(envelope):
    keeping.keep(received(envelope), Transient("later"), dead=False)
    delays = len(conf.current().RETRY_DELAYS)
    SetAside.objects.update(attempts=delays - 1)
    make_due()


def make_due():
    SetAside.objects.update(next_attempt_at=Now() - timedelta(seconds=1))


def retry():
    return retrying.retry_one(conf.handlers(), lambda step: step())


def fail(messages):
    raise ValueError("no such plan for ada@example.com")


def reject(messages):
    return [Rejected(message, "no such subscription") for message in messages]


def state() -> str:
    return SetAside.objects.get().state


def test_a_dying_message_calls_it_with_envelope_and_reason(calls):
    envelope = an_envelope(UserSubscribed)
    keeping.keep(received(envelope), Rejected(envelope, "no such subscription"), dead=True)

    assert calls == [(envelope.id, "no such subscription")]
    assert Effect.objects.count() == 1


def test_a_message_whose_retries_run_out_calls_it_once(calls, handle):
    handle(fail)
    envelope = an_envelope(UserSubscribed)
    keeping.keep(received(envelope), Transient("later"), dead=False)
    for _ in conf.current().RETRY_DELAYS:
        make_due()
        retry()

    assert state() == "dead"
    [(event_id, reason)] = calls
    assert event_id == envelope.id
    assert "no such plan" in reason
    assert "ada@example.com" not in reason


def test_a_message_rejected_at_a_retry_calls_it(calls, handle):
    handle(reject)
    keeping.keep(received(an_envelope(UserSubscribed)), Transient("later"), dead=False)
    make_due()
    retry()

    assert [reason for _, reason in calls] == ["no such subscription"]


def test_an_unreadable_message_calls_nothing(calls):
    keeping.keep(Received.read(b"{", queue="q"), Malformed("no"), dead=True)

    assert (state(), calls) == ("dead", [])


def test_a_message_with_retries_left_calls_nothing(calls, handle):
    handle(fail)
    keeping.keep(received(an_envelope(UserSubscribed)), Transient("later"), dead=False)
    make_due()
    retry()

    assert (state(), calls) == ("retrying", [])


def test_a_dead_message_delivered_again_calls_nothing(calls):
    message = received(an_envelope(UserSubscribed))
    for _ in range(3):
        keeping.keep(message, Malformed("no"), dead=True)

    assert len(calls) == 1


def test_a_dead_message_delivered_again_under_a_new_key_calls_nothing(calls, settings):
    """A consumer was killed before its ack, and restarted with the next key in front."""
    message = received(an_envelope(UserSubscribed))
    keeping.keep(message, Malformed("no"), dead=True)
    settings.SEALING_KEYS = {"new": bytes(32), **settings.SEALING_KEYS}
    keeping.keep(message, Malformed("no"), dead=True)

    assert (len(calls), SetAside.objects.count()) == (1, 1)


def test_a_discarded_message_that_dies_again_calls_it_again(calls):
    message = received(an_envelope(UserSubscribed))
    keeping.keep(message, Malformed("no"), dead=True)
    list(acts.discard([SetAside.objects.get().id], by="ada", reason="bad"))
    keeping.keep(message, Malformed("no"), dead=True)

    assert len(calls) == 2


def test_a_message_dies_without_on_dead_too(on_dead):
    on_dead(None)
    keeping.keep(received(an_envelope(UserSubscribed)), Malformed("no"), dead=True)

    assert state() == "dead"


# it fails


def break_off(envelope, reason):
    write(envelope)
    raise ValueError("no mail server")


def violate(envelope, reason):
    write(envelope)
    raise IntegrityError("there is one already")


def break_the_commit(envelope, reason):
    write(envelope)
    Permission.objects.create(content_type_id=2**30, codename="c", name="refers to nothing")


@pytest.mark.parametrize("failing", [break_off, violate, break_the_commit])
def test_its_failure_is_logged_and_leaves_only_a_dead_message(on_dead, caplog, failing):
    on_dead(failing)
    keeping.keep(received(an_envelope(UserSubscribed)), Malformed("no"), dead=True)

    assert (state(), Effect.objects.count()) == ("dead", 0)
    assert caplog.text.count("ON_DEAD failed") == 1


@pytest.mark.parametrize("failing", [break_off, break_the_commit])
def test_its_failure_at_the_last_retry_leaves_a_dead_message_too(on_dead, handle, failing):
    on_dead(failing)
    handle(fail)
    keep_for_its_last_retry(an_envelope(UserSubscribed))
    retry()

    assert (state(), Effect.objects.count()) == ("dead", 0)
    assert not retry()


def test_a_connection_lost_in_it_leaves_the_message_for_a_retry(on_dead, monkeypatch):
    """Else the transaction would end without a word, and the message be acked and lost."""

    def lose(envelope, reason):
        def no_savepoint(_):
            raise OperationalError("the connection is lost")

        monkeypatch.setattr(connection, "savepoint_rollback", no_savepoint)
        raise OperationalError("the connection is lost")

    on_dead(lose)
    with pytest.raises(OperationalError):
        keeping.keep(received(an_envelope(UserSubscribed)), Malformed("no"), dead=True)

    assert SetAside.objects.count() == 0


def test_a_kill_in_it_leaves_the_message_alive_and_nothing_written(on_dead, handle):
    def die(envelope, reason):
        write(envelope)
        raise Killed

    on_dead(die)
    handle(fail)
    keep_for_its_last_retry(an_envelope(UserSubscribed))
    with pytest.raises(Killed):
        retry()

    assert (state(), Effect.objects.count()) == ("retrying", 0)


def test_it_is_skipped_at_last_if_it_keeps_ending_the_process(on_dead, handle):
    def die(envelope, reason):
        raise Killed

    on_dead(die)
    handle(fail)
    keep_for_its_last_retry(an_envelope(UserSubscribed))
    for _ in range(10):
        try:
            retry()
            break
        except Killed:
            make_due()

    assert state() == "dead"


def test_a_consumer_killed_in_it_leaves_one_dead_message_and_one_row(start, prefix, tmp_path):
    environment = {
        "TEST_WIRING": "tests.deadly_on_dead",
        "TEST_RETRY_DELAYS": "1",
        "TEST_DEADLY_ONCE": str(tmp_path / "once"),
    }
    killed = start("consume_events", **environment).until_ready()
    send(prefix, *requests(1, user_id="fail"))

    assert killed.wait() == 9
    assert (state(), Effect.objects.count()) == ("retrying", 0)
    start("consume_events", **environment).until_ready()
    eventually(lambda: state() == "dead")
    assert Effect.objects.count() == 1
