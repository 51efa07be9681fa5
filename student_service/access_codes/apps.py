"""The Django app of the student service."""

from django.apps import AppConfig


class AccessCodesConfig(AppConfig):
    name = "access_codes"

    def ready(self) -> None:
        from .mails import checks  # noqa: F401, PLC0415  (it registers itself; models come first)
