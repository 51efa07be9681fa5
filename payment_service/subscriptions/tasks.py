"""What time does: beat sends these, the worker runs them, and the rows say what there is to do."""

from celery import shared_task
from shared_contracts.celery_app import stopping

from . import reconciliation, services


@shared_task(name="payment_service.ask_again")
def ask_again() -> None:
    while not stopping.is_set() and services.ask_again():
        pass


@shared_task(name="payment_service.prune")
def prune() -> None:
    services.prune()


@shared_task(name="payment_service.reconcile")
def reconcile() -> None:
    reconciliation.start_daily()
    reconciliation.go_on()
