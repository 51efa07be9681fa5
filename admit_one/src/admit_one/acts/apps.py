"""The Django app that keeps what people do."""

from django.apps import AppConfig


class ActsConfig(AppConfig):
    name = "admit_one.acts"
    label = "acts"
    verbose_name = "Acts"
    default_auto_field = "django.db.models.BigAutoField"
