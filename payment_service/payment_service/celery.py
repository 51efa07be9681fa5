"""The payment service's own Celery app."""

from admit_one.tasks import make_app

# Sending webhooks is mostly waiting, so a second one keeps them from blocking the others.
app = make_app("payment_service", at_once=2)
