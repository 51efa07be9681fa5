"""The Django app of what all HTTP answers share."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "admit_one.web"
    label = "api"
    verbose_name = "API"
    default_auto_field = "django.db.models.BigAutoField"
