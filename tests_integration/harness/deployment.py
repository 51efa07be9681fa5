"""A running system, and its HTTP API, broker and mailbox for a test to use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

from tools.system.eventually import eventually
from tools.system.keys import kept_keys
from tools.system.system import PROCESSES, SERVICES, CommandFailed, System

from .accounts import Account, has_mail
from .api import Api
from .mailbox import MailboxClient
from .payments import Order, Payments, Subscription
from .places import Place
from .wire import EventRecorder, listening
from .wire_keys import WireKeys

SETTINGS = {
    # The lease of a mail is twice the first of these times.
    "student_service": {"EMAIL_TIMEOUT": "2", "EMAIL_ACCEPT_TIMEOUT": "2"},
}

COMPARE_AT_ONCE = {"payment_service": {"RECONCILE_AFTER": "0"}}
"""Settings for `reconcile` to include what was paid a moment ago."""

LATE = 75.0
"""Seconds within which a mail arrives although its worker died: lease, pause and two sweeps."""

EXPLAINED = 3
"""Subscriptions without a code that a failed test explains."""


class Deployment:
    """Both services and the mail catcher at one place."""

    def __init__(self, system: System, place: Place, api_key: str) -> None:
        self.system = system
        self.place = place
        self.api_key = api_key
        self.payments = Payments(system.payment_url, api_key)
        self.mailbox = MailboxClient(system.mail_url)

    @classmethod
    def migrated(cls, system: System, place: Place, api_key: str = "") -> Self:
        """Migrate the databases and, unless a key is given, create one; start no process."""
        system.migrate()
        return cls(system, place, api_key or system.new_api_key())

    def student_api(self) -> Api:
        """The student service's API, called with a new key."""
        key = self.system.new_api_key("platform", service="student_service")
        return Api(self.system.student_url, key)

    def start(self, *names: str) -> None:
        """Start processes, all if none is named, and wait until they are ready."""
        self.system.start(*(names or PROCESSES))
        self.system.wait_ready(*(names or PROCESSES))

    def kill(self, *names: str) -> None:
        for name in names:
            self.system.kill(name)

    def reset(self) -> None:
        """Open the gates, stop extra processes and start missing ones."""
        for gate in (self.place.broker, self.place.databases):
            if gate is not None:
                gate.open()
        for name in set(self.system.running()) - set(PROCESSES):
            self.system.stop(name)
        missing = set(PROCESSES) - set(self.system.running())
        if missing:
            self.start(*missing)

    def subscribe(self, orders: Iterable[Order], at_once: int = 8) -> list[Subscription]:
        """Send all orders, several at a time; returns the answers in the same order."""
        with ThreadPoolExecutor(at_once) as clients:
            return list(clients.map(self.payments.subscribe, orders))

    def active(
        self, subscriptions: Sequence[Subscription], within: float = 30.0
    ) -> list[Subscription]:
        """Wait until all subscriptions are active; returns them as the API shows them."""
        if not subscriptions:
            return []
        missing = {subscription.id for subscription in subscriptions}
        oldest = min(subscription.recorded for subscription in subscriptions)
        active: dict[str, Subscription] = {}

        def look() -> set[str]:
            for subscription in self.payments.all():
                if subscription.id in missing and subscription.status == "active":
                    active[subscription.id] = self.payments.show(subscription.id)
                    missing.discard(subscription.id)
                # They are listed newest first: older ones are not needed. Ids say less: a request
                # that has to wait for the database inserts an older id after newer ones.
                if not missing or subscription.recorded < oldest:
                    break
            return missing

        try:
            eventually(look, lambda pending: not pending, within=within)
        except AssertionError as error:
            explained = "\n\n".join(self.why(pending) for pending in sorted(missing)[:EXPLAINED])
            raise AssertionError(f"{error}\n\n{explained}") from None
        return [active[subscription.id] for subscription in subscriptions]

    def why(self, subscription_id: str) -> str:
        """What both services' `manage.py why` prints about a subscription, or how that failed."""
        try:
            return "\n".join(self.system.manage(s, "why", subscription_id) for s in SERVICES)
        except CommandFailed as failure:
            return str(failure)

    def accounts(
        self, subscriptions: Sequence[Subscription], within: float = LATE
    ) -> list[Account]:
        """Wait until every subscription is active and its mail has arrived."""
        active = self.active(subscriptions, within)
        mails = eventually(
            self.mailbox.by_recipient,
            lambda mails: all(has_mail(subscription, mails) for subscription in active),
            within=within,
        )
        return [Account(subscription, mails[subscription.email]) for subscription in active]

    @property
    def wire_keys(self) -> WireKeys:
        return WireKeys({service: self.system.environment(service) for service in SERVICES})

    @contextmanager
    def wire(self) -> Iterator[EventRecorder]:
        """Receive every event from now on, with its values in clear."""
        with listening(self.place.wire_url, self.place.backends.prefix, self.wire_keys) as wire:
            yield wire

    def reconcile(self, *arguments: str) -> str:
        """Run `manage.py reconcile`; returns its output. Raises `CommandFailed`."""
        return self.system.manage("payment_service", "reconcile", "--wait", "90", *arguments)

    def last_lines(self, count: int = 15) -> Iterator[tuple[str, str]]:
        """The end of each process's log."""
        for log in sorted((self.system.folder / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-count:]
            yield log.stem, "\n".join(lines)


@contextmanager
def deployed(
    place: Place, api_key: str = "", *, settings: Mapping[str, Mapping[str, str]] = SETTINGS
) -> Iterator[Deployment]:
    """A migrated system at `place`, without running processes; stopped at the end."""
    keys = kept_keys(place.folder / "keys.json")
    with System(place.folder, place.backends, keys=keys, settings=settings) as system:
        yield Deployment.migrated(system, place, api_key)
