"""The payment service's own Celery app: it asks again, reconciles, and prunes."""

from admit_one.tasks.app import make_app

app = make_app(
    "payment_service",
    beat_schedule={
        "payment_service.ask_again": 60,
        "payment_service.reconcile": 60,
        "payment_service.prune": 3600,
    },
)
