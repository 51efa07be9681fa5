"""Run the whole system on this machine, and follow one paid subscription through it.

    make demo                     start everything, follow one subscription, stay up
    make demo ONCE=1              stop once that subscription has its code
    PAYMENT_PORT=9000 make demo   choose a port; also STUDENT_PORT, SMTP_PORT, MAIL_PORT,
                                  PAYMENT_OPERATORS_PORT and STUDENT_OPERATORS_PORT

On a real RabbitMQ, and real PostgreSQL databases that exist already:

    BROKER_URL=amqp://user:password@host:5672// \\
    PAYMENT_DATABASE_URL=postgres://user:password@host/payment \\
    STUDENT_DATABASE_URL=postgres://user:password@host/student  make demo

Without these variables, databases and broker are files in var/demo. Delete it to start over.

Exit codes: 0 the code in the mail is the code in the API, or Ctrl-C once everything was up;
1 with ONCE=1, the subscription did not get its code; 2 the system did not start;
130 Ctrl-C before everything was up; 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools import rest
from tools.system.backends import Backends
from tools.system.commands import OPERATORS, PROCESSES, ROOT
from tools.system.keys import kept_keys, write_private
from tools.system.logs import Follower
from tools.system.ports import OPERATORS_PORTS, Ports, PortTaken
from tools.system.process import NotReady
from tools.system.system import CommandFailed, System

from . import screen
from .journey import Journey, Stuck

KEY_FILE = "api_key"
SHORT_LIFE = 10.0
"""Seconds; a process that ends sooner than that is not restarted."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--once", action="store_true", help="stop once the subscription has its code"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "var" / "demo", help="its files (default: var/demo)"
    )
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
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
    """Start everything, follow one subscription, and stay up unless `once`."""
    began = time.monotonic()
    ports = Ports.from_environment(but=OPERATORS_PORTS if once else ())
    folder.mkdir(parents=True, exist_ok=True)
    keys = kept_keys(folder / "keys.json")
    backends = backends_from_environment(folder)
    screen.title(backends)
    with System(folder, backends, ports=ports, keys=keys) as system:
        system.migrate()
        screen.done("two databases migrated", time.monotonic() - began)
        system.start(*PROCESSES)
        for name in system.as_ready():
            screen.ready(name, system.process(name).pid, time.monotonic() - began)
        problem = follow_one(system, api_key(system, folder / KEY_FILE))
        if problem:
            screen.failed(problem)
        if once:
            return 1 if problem else 0
        try:
            login = open_operators_pages(system)
            screen.how_to_go_on(system, folder / KEY_FILE, login)
            stay_up(system)
        except KeyboardInterrupt:
            screen.stopping()
    return 0


def backends_from_environment(folder: Path) -> Backends:
    """The servers that the environment names, and a file in `folder` for each other."""
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


def api_key(system: System, file: Path) -> str:
    """The demo's key for the payment API; a new one if the database does not know the old."""
    if file.exists():
        key = file.read_text()
        try:
            rest.get(f"{system.payment_url}/v1/subscriptions", {"Authorization": f"Bearer {key}"})
        except rest.Refused as refused:
            if refused.status != 401:
                raise
        else:
            return key
    key = system.new_api_key("demo")
    write_private(file, key)
    return key


def open_operators_pages(system: System) -> str:
    """Start the operators' pages; returns name and password of a new operator with every right."""
    system.migrate("operators.settings")
    system.start(*OPERATORS)
    name, password = f"demo-{secrets.token_hex(3)}", secrets.token_urlsafe(9)
    system.new_operator(name, password)
    system.wait_ready(*OPERATORS)
    return f"{name} {password}"


def follow_one(system: System, key: str) -> str:
    """One subscription from the POST to the code. Returns what went wrong, or nothing."""
    try:
        journey = Journey(system, key)
        screen.posted(journey)
        for step, seconds in journey.steps():
            screen.step(step.name, step.what, seconds)
    except (Stuck, *rest.NO_ANSWER) as error:
        return str(error)
    screen.mail(journey.mails()[0])
    mailed, shown = journey.codes()
    if mailed != [shown]:
        return f"Expected one code in the mail, the one in the API ({shown}), got {mailed}"
    screen.same_code(shown)
    return ""


def stay_up(system: System) -> NoReturn:
    """Show the processes' logs, and restart what was killed, until Ctrl-C."""
    follower = Follower(system.folder / "logs")
    started = dict.fromkeys(system.running(), time.monotonic())
    while True:
        for name, line in follower.new_lines():
            screen.log(name, line)
        for name in set(started) - set(system.running()):
            lived = time.monotonic() - started.pop(name)
            again = lived > SHORT_LIFE
            screen.ended(name, system.process(name).exit_code, again=again)
            if again:
                system.start(name)
                started[name] = time.monotonic()
        time.sleep(0.2)


if __name__ == "__main__":
    main()
