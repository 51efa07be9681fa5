"""The Django app of what all HTTP responses share."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "admit_one.web"
    label = "web"
    verbose_name = "API"
    default_auto_field = "django.db.models.BigAutoField"
