"""What runs on a schedule: beat sends these, a worker runs them, and rows hold what is due."""

from admit_one.tasks.runs import stopping

from . import code_requests
from .reconciliation import runs


def request_again() -> None:
    """Request again what waits too long, batch after batch."""
    while not stopping.is_set() and code_requests.request_again():
        pass


def reconcile() -> None:
    """Start the run of the day, and carry on with every run that is not over."""
    runs.start_daily()
    runs.carry_on()
