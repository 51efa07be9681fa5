from django.apps import AppConfig


class AccessCodesConfig(AppConfig):
    name = "access_codes"
    verbose_name = "Access codes"
