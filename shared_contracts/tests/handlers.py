"""The table of handlers under test; a test puts its own handler in."""

from shared_contracts.events import UserSubscribed


def record(messages):
    """Replaced by each test that looks at what is handled."""


HANDLERS = {UserSubscribed: lambda messages: record(messages)}
