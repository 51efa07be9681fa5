"""Every command of docs/personal-data.md works as written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests_integration.harness.deployment import Deployment
from tests_integration.harness.payments import order
from tools.system.commands import ROOT
from tools.system.eventually import eventually
from tools.system.system import CommandFailed

PAGE = (ROOT / "docs" / "personal-data.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """Each command of the page, with the service in whose folder it is run."""
    for block in BLOCK.findall(PAGE):
        service = ""
        for line in block.splitlines():
            if line.startswith("# in "):
                service = line.removeprefix("# in ")
            else:
                yield service, line.removeprefix("manage.py ")


def test_the_commands_of_the_page_do_what_it_says(deployment: Deployment, tmp_path: Path) -> None:
    first, second = deployment.accounts(deployment.subscribe([order(), order()]))
    variables = {
        "USER_ID": first.subscription.user_id,
        "SUBSCRIPTION": first.subscription.id,
        "OTHER_SUBSCRIPTION": second.subscription.id,
        "FOLDER": str(tmp_path),
    }

    outputs = [run(deployment, *command, variables) for command in commands()]

    assert len(outputs) == 9
    assert [first.subscription.id in outputs[n] for n in (0, 3)] == [True, True]
    assert ["nothing was changed" in outputs[n] for n in (0, 3)] == [True, True]
    assert first.subscription.email in (tmp_path / "payment.json").read_text()
    assert first.subscription.email in (tmp_path / "student.json").read_text()
    left = [deployment.payments.show(account.subscription.id) for account in (first, second)]
    assert {(paid.user_id, paid.email, paid.access_code, paid.status) for paid in left} == {
        ("erased", "erased@erased.invalid", None, "cancelled")
    }


def run(deployment: Deployment, service: str, line: str, variables: dict[str, str]) -> str:
    """The output of a command; `show` is repeated until it says that both sides are done."""
    arguments = [re.sub(r"\$(\w+)", lambda name: variables[name[1]], a) for a in shlex.split(line)]

    def once() -> str:
        try:
            return deployment.system.manage(service, *arguments)
        except CommandFailed:
            if "show" not in arguments:
                raise
            return ""

    return eventually(once, within=60.0)
