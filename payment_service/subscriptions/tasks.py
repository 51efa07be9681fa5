"""What time does: beat sends these, the worker runs them, and the rows say what there is to do."""

from admit_one.tasks.runs import stopping

from . import asking
from .reconciliation import runs


def ask_again() -> None:
    while not stopping.is_set() and asking.ask_again():
        pass


def reconcile() -> None:
    runs.start_daily()
    runs.go_on()
