"""A process that must start even while its database is away, as web and worker do."""

import sys
import threading

from admit_one.sealing import canaries
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    def handle(self, **_):
        canaries.guard()
        print("guarded process ready", file=sys.stderr, flush=True)
        threading.Event().wait(60)
