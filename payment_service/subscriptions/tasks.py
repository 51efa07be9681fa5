"""What time does: beat sends these, the worker runs them, and the rows say what there is to do."""

from admit_one.messaging import wake
from admit_one.tasks.app import for_a_run, stopping
from celery import shared_task

from . import asking, services
from .reconciliation import runs

PRUNE_SECONDS = 2.0


@shared_task(name="payment_service.ask_again")
def ask_again() -> None:
    while not stopping.is_set() and asking.ask_again():
        pass


@shared_task(name="payment_service.prune")
def prune() -> None:
    """Delete what is past its retention, in short runs: nothing else waits long for the worker."""
    go_on = for_a_run(PRUNE_SECONDS)
    pruned = services.prune(go_on)
    # Nothing went in a whole run: what stands first is kept, and an hour later will do.
    if any(pruned.values()) and not go_on() and not stopping.is_set():
        wake.task(prune.name)


@shared_task(name="payment_service.reconcile")
def reconcile() -> None:
    runs.start_daily()
    runs.go_on()
