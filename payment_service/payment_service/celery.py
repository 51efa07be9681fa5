"""The payment service's own Celery app."""

from admit_one.tasks import make_app

app = make_app("payment_service")
