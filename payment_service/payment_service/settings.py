"""The payment service's settings. What differs between machines is in .env.example."""

from typing import Annotated

from admit_one.environment import development, whole
from admit_one.settings import *
from admit_one.web.settings import *  # it has a REST API


class PaymentEnvironment(ServiceEnvironment):
    RECONCILE_DAYS: Annotated[int, whole(1, 3_650)] = 7
    """How far back the daily comparison with the student side looks."""
    RECONCILE_AFTER: Annotated[int, whole(0 if development() else 900, 86_400)] = 900
    """Seconds after which what was paid must have its code; until then it is on its way."""


environment = PaymentEnvironment.read()

SECRET_KEY = environment.SECRET_KEY
ALLOWED_HOSTS = environment.ALLOWED_HOSTS
DATABASES = {"default": environment.DATABASE_URL}
LOGGING = environment.logging
SEALING_KEYS = environment.SEALING_KEYS

INSTALLED_APPS = [*API_APPS, *MESSAGING_APPS, "admit_one.web_process", "subscriptions"]
ROOT_URLCONF = "payment_service.urls"
SPECTACULAR_SETTINGS |= {
    "TITLE": "Admit One: payment service",
    "DESCRIPTION": "Records paid subscriptions and shows their access codes once they came.",
}

MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "payment_service",
    "CELERY_APP": "payment_service.celery.app",
    "WIRING": "subscriptions.wiring",
    **environment.messaging,
}
TASKS_BROKER_URL = environment.TASKS_BROKER_URL

RECONCILE_DAYS = environment.RECONCILE_DAYS
RECONCILE_AFTER = environment.RECONCILE_AFTER
