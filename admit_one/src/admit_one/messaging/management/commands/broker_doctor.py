"""`manage.py broker_doctor`: does the broker have what this service needs?"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError

from admit_one.messaging import conf
from admit_one.messaging.broker import cluster
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.doctor import (
    Condition,
    Finding,
    examine,
    examine_tasks,
    quorum_queues,
)
from admit_one.processes.announcer import describe
from admit_one.processes.service_command import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Compare what this service needs on the broker with what is there, and report how to "
        "fix each difference. It changes nothing. "
        "Exit code: 0 if all is fine, 1 if something needs fixing, 2 if the broker is unavailable."
    )

    def handle(self, **_: Any) -> None:
        current = conf.current()
        process = f"{current.service.name} broker doctor"
        self.stdout.write(
            f"{describe(process, 'only reads, and changes nothing', current.BROKER_URL)}\n\n"
        )
        try:
            with broker.connected("broker_doctor") as connection:
                findings = [*examine(connection), *examine_tasks()]
                findings += [*cluster.listed_nodes(), *cluster.examine(list(quorum_queues()))]
        except broker.BROKER_ERRORS as error:
            raise CommandError(broker.in_words(error), returncode=2) from None
        # Printed afterwards: an error of the terminal must not be taken for one of the broker.
        for finding in findings:
            self._show(finding)
        wrong = sum(finding.condition is Condition.WRONG for finding in findings)
        self.stdout.write(f"\n{wrong} to fix" if wrong else "\neverything that it sees is fine")
        if wrong:
            sys.exit(1)

    def _show(self, finding: Finding) -> None:
        style = {Condition.FINE: self.style.SUCCESS, Condition.WRONG: self.style.ERROR}
        mark = style.get(finding.condition, self.style.WARNING)(f"{finding.condition:7}")
        self.stdout.write(f"{mark} {finding.what}: {finding.result}")
        if finding.fix and finding.condition is not Condition.FINE:
            self.stdout.write(f"        → {finding.fix}")
