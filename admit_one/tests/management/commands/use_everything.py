"""Import each module of the library, publish an event and handle one."""

import sys
from importlib import import_module
from pkgutil import walk_packages

from admit_one.messaging import outbox
from admit_one.messaging.testing import an_envelope, an_event, deliver
from django.core.management.base import BaseCommand
from django.db import transaction

from tests.contract.events import AccessCodeCreated, UserSubscribed

PACKAGES = ("acts", "contract", "database", "embedded_broker", "messaging", "processes", "sealing")


class Command(BaseCommand):
    def handle(self, **_):
        for name in PACKAGES:
            package = import_module(f"admit_one.{name}")
            for module in walk_packages(package.__path__, f"{package.__name__}."):
                import_module(module.name)
        with transaction.atomic():
            outbox.publish(an_event(AccessCodeCreated))
        [outcome] = deliver(an_envelope(UserSubscribed))
        print(f"published; the message is {outcome.result}", file=sys.stderr)
