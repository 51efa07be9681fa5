"""Each command of docs/mail.md does what the page prints, and its tables are those of the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from access_codes.mails import refusals, sending
from access_codes.mails.refusals import Means
from access_codes.models import MailIntent
from django.core.management import call_command
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, subscribe
from tests.mails.test_webhooks import LOGIN, configured

HERE = Path(__file__).parent.parent
PAGE = (HERE.parent / "docs" / "mail.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
BLOCKS = [(block["command"], block["printed"] or "") for block in BLOCK.finditer(PAGE)]
SETTINGS = [block for block in BLOCKS if "--tag mails" in block[0]]
STEP = "== the next step =="
ENDS = {
    Means.RECIPIENT: "fails",
    Means.LATER: "waits",
    Means.SENDER: "waits; many of them hold all mails",
    Means.TOO_MANY: "waits; fewer connections",
}


def run(command: str, cwd: Path, **known: str) -> str:
    ours = {"ENVIRONMENT", "EMAIL_URL", "EMAIL_FROM"}
    env = {name: value for name, value in os.environ.items() if name not in ours} | known
    command = command.replace("python manage.py", f"'{sys.executable}' '{HERE}/manage.py'")
    done = subprocess.run(
        ["bash", "-euc", f"exec 2>&1\n{command}"],
        cwd=cwd, env={"PYTHONPATH": str(HERE), **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_settings_of_each_step_pass_the_check(tmp_path: Path) -> None:
    known = {
        "ENVIRONMENT": "development",
        "EMAIL_URL": "smtp://127.0.0.1:25",
        "EMAIL_FROM": "a@shop.example",
        "DJANGO_SETTINGS_MODULE": "student_service.settings",
    }
    script = "\n".join(f"{command}\necho '{STEP}'" for command, _ in SETTINGS)

    shown = run(script, tmp_path, **known).split(STEP)

    assert len(SETTINGS) == 5
    for (_, printed), step in zip(SETTINGS, shown, strict=False):
        for line in printed.splitlines() or ["System check identified no issues (0 silenced)."]:
            assert line in step


@pytest.mark.django_db(transaction=True)
def test_a_bounce_by_hand_stops_a_mailbox_until_it_is_lifted(
    mailbox: Mailbox, live_server: LiveServer, settings: Settings, tmp_path: Path
) -> None:
    configured.__wrapped__(settings)  # type: ignore[attr-defined]
    [mail] = subscribe("ada@example.com")
    sending.send_due_mails(always)
    [(bounce, status)] = [block for block in BLOCKS if "curl" in block[0]]

    printed = run(bounce, tmp_path, URL=live_server.url, LOGIN=LOGIN, MESSAGE_ID=mail.message_id)

    assert printed == status
    mail.refresh_from_db()
    assert (mail.state, mail.has_stop) == (MailIntent.State.FAILED, True)

    [(by_hand, lifted)] = [block for block in BLOCKS if "mails lift" in block[0]]
    out = StringIO()
    for line in by_hand.replace("$MAIL", str(mail.pk)).splitlines():
        call_command(*shlex.split(line)[2:], stdout=out)

    assert out.getvalue().count(str(mail.pk)) == 2
    assert out.getvalue().endswith(lifted)
    assert not mail.has_stop


def test_every_command_of_the_page_is_run_here() -> None:
    steps = [block for block in BLOCKS if "curl" in block[0] or "mails lift" in block[0]]

    assert len(SETTINGS) + len(steps) == len(BLOCKS) == PAGE.count("```sh\n")


def test_the_table_of_replies_is_that_of_the_code() -> None:
    table = re.findall(r"^\| `(\d{3} .*?)` \| .* \| (.*) \|$", PAGE, re.MULTILINE)

    assert table == [(row.example, ENDS[row.means]) for row in refusals.TABLE]
