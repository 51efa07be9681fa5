"""A running Admit One, with everything a test may touch: HTTP, the broker, the mailbox."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

from tools.system.keys import kept_keys
from tools.system.system import PROCESSES, System

from .accounts import Account, has_mail
from .eventually import eventually
from .mailbox import Mailbox
from .payments import Order, Payments, Subscription
from .places import Place
from .wire import Listener, listening

SETTINGS = {
    # A mail whose worker died is claimed again after twice this time.
    "student_service": {"EMAIL_TIMEOUT": "2"},
}

COMPARE_AT_ONCE = {"payment_service": {"RECONCILE_AFTER": "0"}}
"""For `reconcile`: what was paid a moment ago is compared, too."""

LATE = 75.0
"""Seconds after which a mail must have come whose worker died: its lease, its pause, two sweeps."""


class Deployment:
    """Both services and the mail catcher at one place, started and stopped as a test likes."""

    def __init__(self, system: System, place: Place, api_key: str) -> None:
        self.system = system
        self.place = place
        self.api_key = api_key
        self.payments = Payments(system.payment_url, api_key)
        self.mailbox = Mailbox(system.mail_url)

    @classmethod
    def migrated(cls, system: System, place: Place, api_key: str = "") -> Self:
        """A system with its tables and, unless one is given, a new API key; no process runs."""
        system.migrate()
        return cls(system, place, api_key or system.new_api_key())

    def start(self, *names: str) -> None:
        """Start processes, all of them if none is named, and wait until they are ready."""
        self.system.start(*(names or PROCESSES))
        self.system.wait_ready(*(names or PROCESSES))

    def kill(self, *names: str) -> None:
        """SIGKILL: no chance to finish anything."""
        for name in names:
            self.system.kill(name)

    def mend(self) -> None:
        """Make it whole, whatever the test before has done to it."""
        for gate in (self.place.broker, self.place.databases):
            if gate is not None:
                gate.open()
        for name in set(self.system.running()) - set(PROCESSES):
            self.system.stop(name)
        missing = set(PROCESSES) - set(self.system.running())
        if missing:
            self.start(*missing)

    def subscribe(self, orders: Iterable[Order], at_once: int = 8) -> list[Subscription]:
        """Send all orders, several at the same time, and return the answers in their order."""
        with ThreadPoolExecutor(at_once) as clients:
            return list(clients.map(self.payments.subscribe, orders))

    def active(
        self, subscriptions: Sequence[Subscription], within: float = 30.0
    ) -> list[Subscription]:
        """The subscriptions as they are shown once all of them are active."""
        missing = {subscription.id for subscription in subscriptions}
        oldest = min(missing, default="")
        active: dict[str, Subscription] = {}

        def look() -> set[str]:
            for subscription in self.payments.all():
                if subscription.id in missing and subscription.status == "active":
                    active[subscription.id] = subscription
                    missing.discard(subscription.id)
                # They come newest first, by ids that grow: what is older is not asked for.
                if not missing or subscription.id <= oldest:
                    break
            return missing

        eventually(look, lambda pending: not pending, within=within)
        return [active[subscription.id] for subscription in subscriptions]

    def accounts(
        self, subscriptions: Sequence[Subscription], within: float = LATE
    ) -> list[Account]:
        """Wait until every subscription is active and its mail has come; what is there then."""
        active = self.active(subscriptions, within)
        mails = eventually(
            self.mailbox.by_recipient,
            lambda mails: all(has_mail(subscription, mails) for subscription in active),
            within=within,
        )
        return [Account(subscription, mails[subscription.email]) for subscription in active]

    @contextmanager
    def wire(self) -> Iterator[Listener]:
        """Receive and publish events on the broker."""
        with listening(self.place.wire_url, self.place.backends.prefix) as wire:
            yield wire

    def reconcile(self, *arguments: str) -> str:
        """Run `manage.py reconcile`; returns what it prints.

        Raises `CommandFailed` if it ends with another exit code than 0.
        """
        return self.system.manage("payment_service", "reconcile", "--wait", "90", *arguments)

    def last_lines(self, count: int = 15) -> Iterator[tuple[str, str]]:
        """The end of the log of each process, for a test that failed."""
        for log in sorted((self.system.folder / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-count:]
            yield log.stem, "\n".join(lines)


@contextmanager
def deployed(
    place: Place, api_key: str = "", *, settings: Mapping[str, Mapping[str, str]] = SETTINGS
) -> Iterator[Deployment]:
    """A migrated system at `place`, of which no process runs; a new API key if none is given."""
    keys = kept_keys(place.folder / "keys.json")
    with System(place.folder, place.backends, keys=keys, settings=settings) as system:
        yield Deployment.migrated(system, place, api_key)
