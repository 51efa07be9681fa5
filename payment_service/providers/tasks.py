"""Scheduled tasks of the providers. The rows hold what is due."""

from admit_one.tasks import for_a_run, stopping

from . import handling, persons, retention


def handle_provider_events() -> None:
    """Handle events that have found their subscription, of processes that ended before they did."""
    while not stopping.is_set() and handling.handle_due():
        pass


def prune_provider_events() -> None:
    go_on = for_a_run(2.0)
    persons.note_earlier(go_on)
    retention.close_old(go_on)
    retention.prune(go_on)
