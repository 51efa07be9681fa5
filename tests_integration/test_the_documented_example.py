"""The program in docs/events.md works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests_integration.harness.eventually import eventually
from tests_integration.harness.house import House
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.stranger import quoted
from tools.system.commands import ROOT

PROGRAM = re.compile(r"^```python stranger\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@on_servers
def test_the_program_in_the_documents_prints_the_code_that_is_mailed(house: House) -> None:
    [program] = PROGRAM.findall((ROOT / "docs" / "events.md").read_text(encoding="utf-8"))
    mailed_before = len(house.mailbox.mails("stranger@example.com"))

    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        env={
            "PATH": os.environ["PATH"],
            "BROKER_URL": quoted(house.place.wire_url),
            "BROKER_PREFIX": house.place.backends.prefix,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    mails = eventually(
        lambda: house.mailbox.mails("stranger@example.com"),
        lambda mails: len(mails) > mailed_before,
    )

    assert done.stderr == ""
    assert done.stdout.strip() in {code for mail in mails for code in mail.codes}
