"""The deploy step that makes exchanges and queues."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from shared_contracts.topology import exchange_of

from admit_one.messaging import conf
from admit_one.messaging.broker import connection as broker
from admit_one.processes.service_command import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Make this service's exchange, queues and bindings on the broker, and unbind retired keys. "
        "Run it at deploy, with a broker user that may configure; running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="only say what would be declared"
        )

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        current = conf.current()
        inbox = current.service.inbox(current.BROKER_PREFIX)
        self.stdout.write(f"exchange  {current.service.events(current.BROKER_PREFIX).name}")
        for event in current.service.handles:
            producer = exchange_of(event.producer, current.BROKER_PREFIX)
            self.stdout.write(f"queue     {inbox.name}  <-  {producer.name} {event.type}")
        self.stdout.write(f"queue     {current.service.dead(current.BROKER_PREFIX).name}")
        if dry_run:
            return
        try:
            connection = broker.connect("declare_topology")
            broker.declare(connection, current.service, current.BROKER_PREFIX)
            broker.close(connection)
        except broker.TopologyDiffers as error:
            raise CommandError(str(error)) from None
        except broker.AWAY as error:
            raise CommandError(f"the broker does not answer: {error}") from None
        self.stdout.write("declared")
