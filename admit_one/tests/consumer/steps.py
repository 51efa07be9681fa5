"""What the tests of the consumer do again and again."""

from __future__ import annotations

from admit_one.messaging.models import SetAside
from admit_one.messaging.testing import an_envelope

from tests import rabbit
from tests.contract.events import UserSubscribed
from tests.models import Effect


def requests(number, **changes):
    return [an_envelope(UserSubscribed, **changes) for _ in range(number)]


def send(prefix, *envelopes):
    rabbit.send(prefix, *(envelope.to_json() for envelope in envelopes))


def handled():
    return Effect.objects.count()


def empty(prefix):
    """Whether nothing waits for the consumer and nothing is held by it."""
    with rabbit.channel() as channel:
        inbox = f"{prefix}student_service.inbox"
        ready = channel.queue_declare(inbox, passive=True).method.message_count
    return ready == 0


def states():
    return dict(SetAside.objects.values_list("event_id", "state"))
