"""The Django app of payment providers."""

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "providers"
