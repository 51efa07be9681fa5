"""The Django app of what all HTTP answers share."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "shared_contracts.api"
    label = "api"
    verbose_name = "API"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import openapi  # noqa: F401, PLC0415  (registers how keys are described)
