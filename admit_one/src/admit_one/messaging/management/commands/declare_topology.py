"""The deploy step that declares exchanges and queues."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import declaring, topology
from admit_one.processes.service_command import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Declare this service's exchange, queues and bindings on the broker, and unbind retired "
        "keys. Run it at deploy, with a broker user that may configure; "
        "running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="report what would be declared, and change nothing",
        )

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        place = topology.ours()
        self.stdout.write(f"exchange  {place.exchange.name}")
        for event in place.service.handles:
            source = f"{place.of(event.producer).exchange.name} {event.type}"
            self.stdout.write(f"queue     {place.inbox.name}  <-  {source}")
        self.stdout.write(f"queue     {place.dead.name}")
        if dry_run:
            return
        try:
            connection = broker.connect("declare_topology")
            declaring.declare(connection, place)
            broker.close(connection)
        except declaring.TopologyDiffers as error:
            raise CommandError(str(error)) from None
        except broker.BROKER_ERRORS as error:
            raise CommandError(f"the broker does not answer: {error}") from None
        self.stdout.write("declared")
