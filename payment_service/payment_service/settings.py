"""The payment service's settings. Those read from the environment are in .env.example."""

from typing import Annotated

from admit_one.environment import development, whole
from admit_one.settings import *
from admit_one.web.settings import *
from admit_one.webhooks.settings import *
from providers.environment import ProvidersEnvironment


class PaymentEnvironment(
    ServiceEnvironment, ApiEnvironment, WebhookEnvironment, ProvidersEnvironment
):
    RECONCILE_DAYS: Annotated[int, whole(1, 3_650)] = 7
    """Days that the daily reconciliation looks back."""
    RECONCILE_AFTER: Annotated[int, whole(0 if development() else 900, 86_400)] = 900
    """Seconds within which a paid subscription must get its code; newer ones are not compared."""

    GRACE_DAYS: Annotated[int, whole(0, 365)] = 7
    """Days for which the code of a subscription that is past due still works."""


environment = PaymentEnvironment.read()

SECRET_KEY = environment.SECRET_KEY
ALLOWED_HOSTS = environment.ALLOWED_HOSTS
DATABASES = environment.databases
LOGGING = environment.logging
SEALING_KEYS = environment.SEALING_KEYS
SECURE_HSTS_SECONDS = environment.HSTS_SECONDS
API_DOCS = environment.API_DOCS == "on"
API_RATE_PER_KEY = environment.API_RATE_PER_KEY
API_RATE_PER_ADDRESS = environment.API_RATE_PER_ADDRESS
LIMITS_URL = environment.LIMITS_URL
PROBLEM_TYPES = environment.PROBLEM_TYPES

INSTALLED_APPS = [
    *API_APPS,
    *MESSAGING_APPS,
    *WEBHOOKS_APPS,
    "admit_one.web_process",
    "subscriptions",
    "providers",
]
ROOT_URLCONF = "payment_service.urls"
DATA_UPLOAD_MAX_MEMORY_SIZE = 262_144  # an order of 500 seats, with 500 bytes for each
API_RESERVED_CLIENTS = ("recovered",)  # owns what a reconciliation has recorded again
SPECTACULAR_SETTINGS |= {
    "TITLE": "Admit One: payment service",
    "DESCRIPTION": "Records paid subscriptions and shows their access codes.",
    "TAGS": [
        {"name": "orders", "description": "Subscriptions that were paid together."},
        {"name": "subscriptions", "description": "What was paid, and its access code."},
        {"name": "webhooks", "description": "What happens to yours, sent to a URL of yours."},
    ],
}

MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "payment_service",
    "CELERY_APP": "payment_service.celery.app",
    "WIRING": "payment_service.wiring",
    **environment.messaging,
}
TASKS_BROKER_URL = environment.TASKS_BROKER_URL

WEBHOOK_ALLOWED_NETWORKS = environment.WEBHOOK_ALLOWED_NETWORKS
WEBHOOK_EVENTS = (
    "subscription.active",
    "subscription.past_due",
    "subscription.cancelled",
    "subscription.refunded",
    "subscription.renewed",
    "subscription.expired",
    "subscription.mailed",
    "subscription.mail_failed",
    "subscription.redeemed",
    "order.completed",
)

RECONCILE_DAYS = environment.RECONCILE_DAYS
RECONCILE_AFTER = environment.RECONCILE_AFTER
GRACE_DAYS = environment.GRACE_DAYS

STRIPE_WEBHOOK_SECRETS = environment.STRIPE_WEBHOOK_SECRETS
STRIPE_CLIENT = environment.STRIPE_CLIENT
