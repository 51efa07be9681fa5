from django.apps import AppConfig


class AccessCodesConfig(AppConfig):
    name = "access_codes"
    verbose_name = "Access codes"

    def ready(self) -> None:
        from . import metrics  # noqa: F401, PLC0415  (registers its numbers)
