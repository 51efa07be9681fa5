"""The table of handlers under test; a test puts its own handler in."""

from tests.contract.topology import STUDENT
from tests.models import Effect


def record(messages):
    """Replaced by each test that wants something else done."""
    Effect.objects.bulk_create(
        [Effect(subscription_id=m.data.subscription_id, user_id=m.data.user_id) for m in messages]
    )


def handle(messages):
    """What stands in the table; it looks `record` up each time."""
    return record(messages)


HANDLERS = dict.fromkeys(STUDENT.handles, handle)
