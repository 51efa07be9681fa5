"""Every command of docs/webhooks.md works as written, with the receiver that the page shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests_integration.harness import session
from tests_integration.harness.deployment import Deployment
from tests_integration.harness.payments import order
from tests_integration.harness.walkthrough import blocks_of
from tools import rest
from tools.system import programs
from tools.system.commands import ROOT
from tools.system.eventually import eventually
from tools.system.ports import LOCAL, free_port

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(PAGE)


@contextmanager
def receiver(folder: Path, port: int) -> Iterator[Path]:
    """The page's receiver; what it prints stands in the file."""
    [program] = [block.text for block in BLOCKS if block.language == "python"]
    (folder / "receiver.py").write_text(program, encoding="utf-8")
    printed = folder / "received"
    with printed.open("w") as output:
        running = subprocess.Popen(
            [sys.executable, "receiver.py", str(port)], cwd=folder, stdout=output, stderr=output
        )
        try:
            yield printed
        finally:
            running.kill()
            running.wait()


def lines_of(printed: Path) -> list[str]:
    """What it has received, without the lines of its log."""
    return [line for line in printed.read_text().splitlines() if line.startswith("subscription.")]


def test_the_commands_of_the_page_do_what_it_says(deployment: Deployment, tmp_path: Path) -> None:
    programs.needed("curl")
    port = free_port()
    variables = {
        "API": deployment.system.payment_url,
        "KEY": deployment.system.new_api_key("page"),
        "URL": f"http://{LOCAL}:{port}/hooks",
    }
    with receiver(tmp_path, port) as printed:
        steps = session.run(BLOCKS, variables, tmp_path)

    assert {step.commands: step.missing for step in steps if step.missing} == {}
    assert "webhook.test" in printed.read_text()


def test_a_subscription_is_heard_of_with_the_receiver_of_the_page(
    deployment: Deployment, tmp_path: Path
) -> None:
    port = free_port()
    api = f"{deployment.system.payment_url}/v1/webhook-endpoints"
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    made = rest.post(
        api,
        {
            "url": f"http://{LOCAL}:{port}/hooks",
            "events": ["subscription.active", "subscription.mailed", "subscription.cancelled"],
        },
        headers,
    )
    (tmp_path / "secret").write_text(made["secret"])
    recorded = []
    with receiver(tmp_path, port) as printed:

        def heard() -> bool:
            # Processes know of a new endpoint after five seconds: until then, one more.
            recorded.append(deployment.payments.subscribe(order()).id)
            text = printed.read_text()
            return "subscription.active" in text and "subscription.mailed" in text

        eventually(heard, within=60)
        rest.call("DELETE", f"{api}/{made['id']}", None, headers)
        ids = {line.partition("'subscription_id': '")[2][:36] for line in lines_of(printed)}

    assert ids <= set(recorded)


def test_every_command_of_the_page_is_run() -> None:
    """A fence without a language would be left out."""
    assert PAGE.count("\n```") == 2 * len(BLOCKS)
    assert "curl" not in "".join(block.text for block in BLOCKS if block.language != "sh")
