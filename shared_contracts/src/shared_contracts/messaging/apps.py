"""The Django app that gets events out of a service and into another."""

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "shared_contracts.messaging"
    label = "messaging"
    verbose_name = "Messaging"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415  (registers the system checks)
