"""A process that must start even while its database is away, as web and worker do."""

import sys
import threading

from django.core.management.base import BaseCommand
from shared_contracts.messaging import keys


class Command(BaseCommand):
    def handle(self, **_):
        keys.guard()
        print("guarded process ready", file=sys.stderr, flush=True)
        threading.Event().wait(60)
