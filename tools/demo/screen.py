"""The demo's output: 80 columns wide, and readable without colour."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from tools.servers.found import without_password
from tools.system.backends import Backends
from tools.system.system import System

from .journey import Journey

console = Console(highlight=False)
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green")


def title(backends: Backends) -> None:
    console.print()
    console.print("[bold]Admit One[/]  a paid subscription becomes one access code in a mailbox")
    console.print()
    for name, url in (
        ("payment database", backends.payment_database_url),
        ("student database", backends.student_database_url),
        ("broker", backends.broker_url),
    ):
        console.print(f"  [dim]{name:<17}[/] {escape(without_password(url))}", soft_wrap=True)
    console.print()


def done(what: str, seconds: float) -> None:
    console.print(f"  [green]✓[/] {what:<40} [dim]{seconds:5.1f} s[/]")


def ready(name: str, pid: int, seconds: float) -> None:
    done(f"{name:<17} ready, process {pid}", seconds)


def listening(port: int) -> None:
    console.print(f"  [green]✓[/] {'webhooks':<17} of both services come to port {port}")


def posted(journey: Journey) -> None:
    begun("POST /v1/subscriptions", journey)
    step("accepted", "payment web: subscription and event, one commit", journey.accepted_after)


def paid(journey: Journey) -> None:
    begun("POST /v1/webhooks/stripe", journey)
    step("accepted", "payment web: event and subscription, one commit", journey.accepted_after)


def begun(how: str, journey: Journey) -> None:
    request = journey.request
    console.print()
    console.print(
        f"[bold]{how}[/]  {request['email']}, {request['plan']}, "
        f"{int(request['amount']) / 100:.2f} {request['currency']}"
    )
    console.print()


def step(name: str, what: str, seconds: float) -> None:
    console.print(f"  [dim]{seconds:6.3f} s[/]  [bold]{name:<16}[/]  [dim]{what}[/]")


def mail(mail: dict[str, str]) -> None:
    content = Text.assemble(
        ("From  ", "dim"), mail["from"], "\n",
        ("To    ", "dim"), mail["to"], "\n\n",
        mail["text"].replace("\r\n", "\n").strip(),
    )  # fmt: skip
    console.print()
    console.print(Panel(content, title=escape(mail["subject"]), title_align="left", width=78))


def same_code(code: str) -> None:
    console.print()
    console.print(f"  [green]✓[/] [bold]{code}[/] is in the mail and in the payment API")


def next_steps(system: System, key_file: Path, operator: str) -> None:
    console.print()
    console.print("[bold]Try it yourself[/]")
    console.print()
    for what, url in (
        ("mailbox", system.mail_url),
        ("payment API documentation", f"{system.payment_url}/v1/docs"),
        ("student API documentation", f"{system.student_url}/v1/docs"),
        ("payment health", f"{system.payment_url}/health/ready"),
        ("student health", f"{system.student_url}/health/ready"),
        ("payment operators' pages", system.operators_urls["payment_service"]),
        ("student operators' pages", system.operators_urls["student_service"]),
        ("log in to both as", operator),
    ):
        console.print(f"  [dim]{what:<28}[/]{escape(url)}")
    lines = f"""
  KEY=$(cat {shown_path(key_file)})
  curl -H "Authorization: Bearer $KEY" {system.payment_url}/v1/subscriptions
  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"user_id": "you", "email": "you@example.org", "plan": "pro",
         "amount": 4900, "currency": "EUR"}}' {system.payment_url}/v1/subscriptions
"""
    console.print(Text(lines), soft_wrap=True)
    console.print(
        'make manage SERVICE=student ARGS="set_aside list" runs any command of a service.'
    )
    console.print("Kill any process with [bold]kill -9[/]: nothing is lost, and it is restarted.")
    console.print("What happens comes by webhooks, too: they are shown among the logs.")
    console.print("The logs of all processes follow. [bold]Ctrl-C[/] stops everything.")
    console.print()


def shown_path(path: Path) -> Path:
    """Relative to the current folder if possible, so that it fits the screen."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def log(name: str, line: str) -> None:
    colour = COLOURS[crc32(name.encode()) % len(COLOURS)]
    console.print(Text.assemble((f"{name:<17}", colour), " │ ", line), soft_wrap=True)


def ended(name: str, exit_code: int | None, *, again: bool) -> None:
    how = f"signal {-exit_code}" if exit_code and exit_code < 0 else f"exit code {exit_code}"
    what = "restarting it" if again else "it was never ready: see its log"
    console.print(f"[bold yellow]{name} ended ({how}); {what}[/]")


def stopping() -> None:
    console.print()
    console.print(
        "Stopping: web processes first, then relays, consumers and workers, the mailbox last."
    )


def failed(problem: str) -> None:
    console.print()
    console.print(Text.assemble(("✗ ", "bold red"), problem), soft_wrap=True)
