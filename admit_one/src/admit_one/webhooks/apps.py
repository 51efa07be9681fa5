"""The Django app that sends webhooks."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "admit_one.webhooks"
    label = "webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models can be imported only now.
        from admit_one.metrics import database_gauges  # noqa: PLC0415
        from admit_one.sealing import keyring  # noqa: PLC0415

        from . import metrics, models  # noqa: PLC0415

        keyring.library_seals += models.SEALED
        database_gauges.readings.append(metrics.open_deliveries)
