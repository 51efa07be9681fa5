"""The program in docs/events.md works as it is printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests_integration.harness.deployment import Deployment
from tests_integration.harness.eventually import eventually
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.third_party import quoted
from tools.system.commands import ROOT

PROGRAM = re.compile(r"^```python third_party\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@on_servers
def test_the_documented_program_prints_the_code_that_is_mailed(deployment: Deployment) -> None:
    [program] = PROGRAM.findall((ROOT / "docs" / "events.md").read_text(encoding="utf-8"))
    mailed_before = len(deployment.mailbox.mails("third-party@example.com"))

    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        env={
            "PATH": os.environ["PATH"],
            "BROKER_URL": quoted(deployment.place.wire_url),
            "BROKER_PREFIX": deployment.place.backends.prefix,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    mails = eventually(
        lambda: deployment.mailbox.mails("third-party@example.com"),
        lambda mails: len(mails) > mailed_before,
    )

    assert done.stderr == ""
    assert done.stdout.strip() in {code for mail in mails for code in mail.codes}
