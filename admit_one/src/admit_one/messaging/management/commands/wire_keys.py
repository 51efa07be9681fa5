"""`manage.py wire_keys`: what other services need to know of this one's keys."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from admit_one.messaging import peers
from admit_one.processes.service_command import ServiceCommand
from admit_one.trust import base64url

EXAMPLES = """
To give a service its first key: put a new secret into its WIRE_KEYS, run this command, and add
what it prints to the PEER_KEYS of every other service.

To replace a key, in an order in which everything can be read at any time:

  1. Put the new key into WIRE_KEYS behind the old one, and restart this service.
  2. Add its line to the PEER_KEYS of the others behind the old one, and restart them.
  3. Put it in front in WIRE_KEYS, and restart this service: it now signs and seals with it.
  4. Put its line in front in the PEER_KEYS of the others, and restart them.
  5. Remove the old key once `manage.py rotate_keys --dry-run` says that it may go.

Exit code: 0 if nothing is missing, 1 otherwise.
"""


class Command(ServiceCommand):
    help = "Print the public halves of this service's WIRE_KEYS, for the PEER_KEYS of the others."
    requires_system_checks = ()  # they want the keys of others, which may wait for ours

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES

    def handle(self, **_: Any) -> None:
        own = peers.own()
        for key_id, key in own.keys.items():
            self.stdout.write(f"{own.service}:{key_id}:{base64url.encode(key.public)}")
        missing = peers.missing_keys()
        for setting, event in missing.items():
            self.stderr.write(f"{setting}: expected a key, because of {event.type}")
        if missing:
            sys.exit(1)
