"""The Django app that encrypts columns of the database."""

from django.apps import AppConfig
from django.conf import settings


class SealingConfig(AppConfig):
    name = "admit_one.sealing"
    debug = False
    """Whether the process started with DEBUG."""

    def ready(self) -> None:
        self.debug = settings.DEBUG
        from . import keyring  # noqa: F401, PLC0415  (registers the system check)
