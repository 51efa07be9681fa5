"""A command whose error holds a secret of the settings."""

from admit_one.processes import ServiceCommand
from django.conf import settings
from django.core.management.base import CommandError


class Command(ServiceCommand):
    def add_arguments(self, parser):
        parser.add_argument("--unexpected", action="store_true")

    def handle(self, *, unexpected, **_):
        password = settings.BROKER_URL.partition("@")[0].rpartition(":")[2]
        kind = ValueError if unexpected else CommandError
        raise kind(f"login {password} refused for ada@example.com")
