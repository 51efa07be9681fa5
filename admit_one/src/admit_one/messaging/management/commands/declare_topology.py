"""The deploy step that declares exchanges and queues."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker import topology
from admit_one.processes.service_command import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Declare this service's exchange, queues and bindings on the broker, and unbind retired "
        "keys. Run it when you deploy, as a broker user with the right to configure; "
        "running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="print what would be declared, and change nothing",
        )

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        ours = topology.ours()
        self.stdout.write(f"exchange  {ours.exchange.name}")
        for event in ours.service.handles:
            source = f"{ours.of(event.producer).exchange.name} {event.type}"
            self.stdout.write(f"queue     {ours.inbox.name}  <-  {source}")
        self.stdout.write(f"queue     {ours.dead.name}")
        if dry_run:
            return
        try:
            with broker.connected("declare_topology") as connection:
                topology.declare(connection, ours)
        except topology.TopologyDiffers as error:
            raise CommandError(str(error)) from None
        except broker.BROKER_ERRORS as error:
            raise CommandError(broker.in_words(error)) from None
        self.stdout.write("declared")
