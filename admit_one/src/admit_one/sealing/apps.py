"""The Django app that seals what rests in the database."""

from django.apps import AppConfig


class SealingConfig(AppConfig):
    name = "admit_one.sealing"
    label = "sealing"
    verbose_name = "Sealing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415  (registers the system checks)
