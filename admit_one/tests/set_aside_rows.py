"""Messages that could not be handled, for the tests of what operators do about them."""

from __future__ import annotations

from admit_one.contract.errors import Malformed, Transient
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope

from tests.contract.events import UserSubscribed


def keep(number=1, *, error=None, dead=True, suspect=False):
    """Set messages aside that can be read; returns the last one's row."""
    for _ in range(number):
        body = an_envelope(UserSubscribed).to_json()
        message = Received.read(body, queue="student_service.inbox", headers={"a": 1})
        keeping.keep(message, error or Transient("later"), dead=dead, suspect=suspect)
    return SetAside.objects.latest("id")


def keep_unreadable():
    bad = Received.read(b"{", queue="student_service.inbox")
    keeping.keep(bad, Malformed("no end"), dead=True)
    return SetAside.objects.latest("id")


def fail(messages):
    """A handler that cannot handle anything."""
    raise ValueError("no such plan")


def states():
    return list(SetAside.objects.order_by("id").values_list("state", flat=True))
