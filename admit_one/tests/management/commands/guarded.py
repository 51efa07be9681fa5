"""A process that must start even while its database is unavailable, as web and worker do."""

import sys
import threading

from admit_one.sealing import key_watch
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    def handle(self, **_):
        key_watch.guard("a guarded process")
        print("guarded process ready", file=sys.stderr, flush=True)
        threading.Event().wait(60)
