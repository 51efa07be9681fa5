"""Scheduled tasks. The rows hold what is due, so a lost or repeated task does no harm."""

from admit_one.tasks import stopping

from . import code_requests, lifecycle
from .reconciliation import runs


def request_again() -> None:
    while not stopping.is_set() and code_requests.request_again():
        pass


def suspend_overdue() -> None:
    while not stopping.is_set() and lifecycle.suspend_overdue():
        pass


def reconcile() -> None:
    runs.start_daily()
    runs.continue_unfinished()
