"""Scheduled tasks. The rows hold what is due, so a lost or repeated task does no harm."""

from admit_one.erasure import erasing, requests
from admit_one.messaging import wake
from admit_one.tasks import for_a_run, in_batches, stopping

from admit_one import webhooks

from . import code_requests, ending, lifecycle, resends
from .reconciliation import runs


def request_again() -> None:
    while not stopping.is_set() and code_requests.request_again():
        pass


def resend_again() -> None:
    while not stopping.is_set() and resends.request_again():
        pass


def suspend_overdue() -> None:
    while not stopping.is_set() and lifecycle.suspend_overdue():
        pass


def report_ended() -> None:
    while not stopping.is_set() and ending.report_ended():
        pass


def send_webhooks() -> None:
    webhooks.send_due(for_a_run(), stopping.is_set)


def reconcile() -> None:
    runs.start_daily()
    runs.continue_unfinished()
    go_on = for_a_run()
    while (pause := runs.request_due()) is not None:
        if not go_on():
            wake.task(runs.TASK)
            return
        stopping.wait(pause)


def erase_requested() -> None:
    """Erase what the other side has asked for, batch after batch."""
    in_batches(erasing.erase_due)


def request_erasures_again() -> None:
    """Ask the other side again for erasures that it has not answered."""
    in_batches(requests.repeat)
