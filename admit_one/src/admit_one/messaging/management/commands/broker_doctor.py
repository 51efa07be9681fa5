"""A look at the broker with the eyes of this service."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError

from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.messaging.broker import connection as broker
from admit_one.messaging.broker.doctor import Condition, Finding, examine
from admit_one.processes.description import describe
from admit_one.processes.service_command import ServiceCommand


class Command(ServiceCommand):
    help = (
        "Compare what this service needs on the broker with what is there, and report how to "
        "fix each difference. It changes nothing. "
        "Exit code: 0 if all is fine, 1 if something needs fixing, 2 if the broker is away."
    )

    def handle(self, **_: Any) -> None:
        current = conf.current()
        process = f"{current.service.name} broker doctor"
        self.stdout.write(
            f"{describe(process, 'looks and changes nothing', current.BROKER_URL)}\n\n"
        )
        try:
            connection = broker.connect("broker_doctor")
            conditions = []
            for finding in examine(connection):
                conditions.append(finding.condition)
                self._show(finding)
            broker.close(connection)
        except broker.BROKER_ERRORS as error:
            raise CommandError(
                f"the broker does not answer: {mask(str(error))}", returncode=2
            ) from None
        wrong = conditions.count(Condition.WRONG)
        self.stdout.write(f"\n{wrong} to fix" if wrong else "\neverything that can be seen is fine")
        if wrong:
            sys.exit(1)

    def _show(self, finding: Finding) -> None:
        style = {Condition.FINE: self.style.SUCCESS, Condition.WRONG: self.style.ERROR}
        mark = style.get(finding.condition, self.style.WARNING)(f"{finding.condition:7}")
        self.stdout.write(f"{mark} {finding.what}: {finding.result}")
        if finding.mend and finding.condition is not Condition.FINE:
            self.stdout.write(f"        → {finding.mend}")
