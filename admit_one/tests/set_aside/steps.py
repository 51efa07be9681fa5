"""What the tests of set-aside messages do again and again."""

from __future__ import annotations

from datetime import timedelta

from admit_one.contract.errors import Transient, UnknownEvent
from admit_one.contract.registry import EVENTS
from admit_one.messaging import conf
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping, retrying
from admit_one.messaging.testing import an_envelope
from django.db.models.functions import Now
from django.utils import timezone

from tests.contract.events import UserSubscribed


def received(envelope=None, body=b"", **changes):
    envelope = envelope or an_envelope(UserSubscribed)
    return Received.read(body or envelope.to_json(), queue="student_service.inbox", **changes)


def kept(error=None, **changes) -> SetAside:
    keeping.keep(received(), error or Transient("later"), dead=False, **changes)
    return SetAside.objects.get()


def kept_by_an_older_release(monkeypatch) -> SetAside:
    """Set a message aside as a release does that does not know its type."""
    envelope = an_envelope(UserSubscribed)
    with monkeypatch.context() as older:
        older.delitem(EVENTS, UserSubscribed.type)
        message = received(envelope)
    assert isinstance(message.fault, UnknownEvent)
    keeping.keep(message, message.fault, dead=False)
    return SetAside.objects.get()


def fail(messages):
    raise ValueError("no such plan for ada@example.com")


def make_due():
    SetAside.objects.filter(state="retrying").update(next_attempt_at=Now() - timedelta(seconds=1))


def at_once(step):
    return step()


def retry() -> int:
    """Try all that is in the way of becoming due; returns how many were tried."""
    make_due()
    tried = 0
    while retrying.retry_one(conf.handlers(), at_once):
        tried += 1
    return tried


def seconds_until_next(row) -> float:
    return float((row.next_attempt_at - timezone.now()).total_seconds())
