"""The Django app that seals what rests in the database."""

from django.apps import AppConfig
from django.conf import settings


class SealingConfig(AppConfig):
    name = "admit_one.sealing"
    label = "sealing"
    verbose_name = "Sealing"
    default_auto_field = "django.db.models.BigAutoField"
    debug = False
    """Whether the process started with DEBUG."""

    def ready(self) -> None:
        self.debug = settings.DEBUG
        from . import checks  # noqa: F401, PLC0415  (registers the system checks)
