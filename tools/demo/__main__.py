"""Run the whole system on this machine, and follow two paid subscriptions through it.

    make demo                     start everything, follow two subscriptions, keep running
    make demo ONCE=1              stop once both have their codes
    PAYMENT_PORT=9000 make demo   choose a port; also STUDENT_PORT, SMTP_PORT, MAIL_PORT,
                                  PAYMENT_OPERATORS_PORT and STUDENT_OPERATORS_PORT

On a real RabbitMQ and PostgreSQL, with databases that exist already:

    BROKER_URL=amqp://user:password@host:5672// \\
    PAYMENT_DATABASE_URL=postgres://user:password@host/payment \\
    STUDENT_DATABASE_URL=postgres://user:password@host/student  make demo

Without these variables, databases and broker are files in var/demo. Delete it to start over.

The first is recorded by the API; the second is paid at Stripe, as `fake_stripe_event` plays it,
and its code is redeemed. What happens comes back by webhooks, which the demo verifies.

Exit codes: 0 mails and API have the same codes, or Ctrl-C once everything was running;
1 with ONCE=1, a subscription did not get its code, or a webhook did not come; 2 the system did
not start; 130 Ctrl-C before everything was running; 143 SIGTERM.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools import command_line, rest
from tools.system.backends import Backends
from tools.system.commands import OPERATORS, PROCESSES, ROOT
from tools.system.keys import kept_keys
from tools.system.logs import Follower
from tools.system.ports import OPERATORS_PORTS, Ports, PortTaken, use_no_proxy_here
from tools.system.process import NotReady, Process
from tools.system.system import CommandFailed, System

from . import screen
from .journey import Checkout, Journey, Stuck
from .keys import CLIENT, FILES, api_keys
from .webhooks import Receiver

OPERATOR = "admit-one-demo"
SHORT_LIFE = 10.0
"""Seconds from its start; a process that ends sooner, and never was ready, is not restarted."""


def main() -> None:
    parser = command_line.parser("make demo", __doc__)
    parser.add_argument(
        "--once", action="store_true", help="stop once both subscriptions have their codes"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "var" / "demo",
        help="folder for its files (default: var/demo)",
    )
    options = parser.parse_args()
    use_no_proxy_here()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `nohup … &` lets it be ignored
    try:
        sys.exit(demo(options.folder.resolve(), once=options.once))
    except (PortTaken, ValueError, CommandFailed, NotReady) as error:
        screen.failed(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def demo(folder: Path, *, once: bool) -> int:
    """Start everything, follow two subscriptions, and keep running unless `once`."""
    began = time.monotonic()
    ports = Ports.from_environment(but=OPERATORS_PORTS if once else ())
    # What the databases and mails of a demo hold is for its owner only, for all its processes.
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    keys = kept_keys(folder / "keys.json")
    backends = backends_from_environment(folder)
    screen.title(backends)
    settings = {"payment_service": {"STRIPE_CLIENT": CLIENT}}
    with (
        Receiver() as webhooks,  # it listens until nothing is sent any more
        System(folder, backends, ports=ports, keys=keys, settings=settings) as system,
    ):
        system.migrate()
        screen.done("two databases migrated", time.monotonic() - began)
        system.start(*PROCESSES)
        for name in system.as_ready():
            screen.ready(name, system.process(name).pid, time.monotonic() - began)
        problem = follow_two(system, api_keys(system), webhooks)
        if problem:
            screen.failed(problem)
        if once:
            return 1 if problem else 0
        try:
            login = open_operators_pages(system)
            screen.next_steps(system, folder / FILES["payment_service"], login)
            stay_up(system, webhooks)
        except KeyboardInterrupt:
            screen.stopping()
    return 0


def backends_from_environment(folder: Path) -> Backends:
    """The servers that the environment names; files in `folder` for the others."""
    embedded = Backends.embedded(folder)
    broker_url = os.environ.get("BROKER_URL", "")
    return Backends(
        payment_database_url=os.environ.get("PAYMENT_DATABASE_URL")
        or embedded.payment_database_url,
        student_database_url=os.environ.get("STUDENT_DATABASE_URL")
        or embedded.student_database_url,
        broker_url=broker_url or embedded.broker_url,
        celery_broker_url=os.environ.get("TASKS_BROKER_URL")
        or ("" if broker_url.startswith("amqp") else embedded.celery_broker_url),
        prefix=os.environ.get("BROKER_PREFIX", ""),
    )


def open_operators_pages(system: System) -> str:
    """Start the operators' pages; returns the name and the new password of their superuser.

    It is the same one each time, so that databases on servers do not collect them.
    """
    system.migrate("operators.settings")
    system.start(*OPERATORS)
    password = secrets.token_urlsafe(9)
    system.set_operator(OPERATOR, password)
    system.wait_ready(*OPERATORS)
    return f"{OPERATOR} {password}"


def follow_two(system: System, keys: Mapping[str, str], webhooks: Receiver) -> str:
    """Follow a subscription of the API, then one of Stripe; returns what went wrong, if so."""
    try:
        for service, url in system.urls.items():
            webhooks.listen(service, url, keys[service])
        screen.listening(webhooks.port)
        posted = Journey(system, keys, webhooks)
        screen.posted(posted)
        follow(posted)
        paid = Checkout(system, keys, webhooks)
        screen.paid(paid)
        follow(paid)
    except (Stuck, CommandFailed, *rest.NO_ANSWER) as error:
        return str(error)
    return ""


def follow(journey: Journey) -> None:
    """Follow one subscription up to its code. Raises `Stuck`, or one of `rest.NO_ANSWER`."""
    for step, seconds in journey.steps():
        screen.step(step.name, step.what, seconds)
    screen.mail(journey.mails()[0])
    mailed, shown = journey.codes()
    if mailed != [shown]:
        raise Stuck(f"Expected the mail to have the code of the API, {shown}, got {mailed}")
    screen.same_code(shown)


def stay_up(system: System, webhooks: Receiver) -> NoReturn:
    """Show the logs and what comes by webhooks, and restart processes that end, until Ctrl-C."""
    follower = Follower(system.folder / "logs")
    given_up: set[Process] = set()
    shown = len(webhooks.taken)
    while True:
        for name, line in follower.new_lines():
            screen.log(name, line)
        for webhook in webhooks.taken[shown:]:
            screen.log("webhook", f"{webhook}, about {webhook.about}")
            shown += 1
        for process in set(system.ended()) - given_up:
            again = can_start(process)
            screen.ended(process.name, process.exit_code, again=again)
            if again:
                system.start(process.name)
            else:
                given_up.add(process)
        for process in map(system.process, system.running()):
            if not process.was_ready:
                note_ready(process)
        time.sleep(0.2)


def can_start(process: Process) -> bool:
    """Whether it pays to start an ended process again: it did work, or failed only later."""
    return process.was_ready or time.monotonic() - process.started_at > SHORT_LIFE


def note_ready(process: Process) -> None:
    with suppress(NotReady):  # it has just ended
        process.is_ready()


if __name__ == "__main__":
    main()
