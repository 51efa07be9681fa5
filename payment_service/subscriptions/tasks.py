"""What time does: beat sends these, the worker runs them, and the rows say what there is to do."""

from admit_one.tasks.runs import stopping

from . import code_requests
from .reconciliation import runs


def request_again() -> None:
    while not stopping.is_set() and code_requests.request_again():
        pass


def reconcile() -> None:
    runs.start_daily()
    runs.carry_on()
