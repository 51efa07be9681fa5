"""What happened to one subject here, where it stands, and what will happen by itself.

Read from the three tables of messaging; the service's own rows are added by its `TIMELINE`.
Nothing here shows a code or an address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from admit_one.masking import mask
from admit_one.messaging import conf
from admit_one.messaging.models import NOBODY_BOUND, InboxMessage, OutboxMessage, SetAside
from admit_one.wiring import wired

SOON = timedelta(seconds=5)
"""An unsent event is not late before this."""


@dataclass(frozen=True)
class Step:
    """Something that has happened."""

    at: datetime
    what: str


@dataclass(frozen=True)
class Wait:
    """Something that has not happened yet, and why."""

    why: str
    then: str
    """What happens next by itself, and when; or what somebody has to do."""
    stuck: bool = False
    """Nothing will happen by itself."""


@dataclass
class Report:
    """All that is known here of one subject."""

    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """What cannot be seen from here, and where to look."""

    def add(self, other: Report) -> None:
        self.steps += other.steps
        self.waits += other.waits
        self.unseen += other.unseen


def subject_of(given: str) -> str:
    """The subject that `given` means: itself, or that of the event with this id."""
    given = given.strip()
    subject = _as_written(given)
    if OutboxMessage.objects.filter(subject=subject).exists():  # by an index
        return subject
    for model in (InboxMessage, OutboxMessage, SetAside):
        subjects = model._default_manager.filter(event_id=given).values_list("subject", flat=True)  # noqa: SLF001
        if known := subjects.exclude(subject="").first():
            return str(known)
    return subject


def _as_written(given: str) -> str:
    """A UUID as events write it, in small letters; every other text as it is."""
    try:
        return str(UUID(given))
    except ValueError:
        return given


def report(subject: str, broker_away: str = "") -> Report:
    """Everything about `subject`, oldest first. `broker_away` is why the broker did not answer."""
    report = Report()
    report.add(_outbox(subject, broker_away))
    report.add(_inbox(subject))
    report.add(_set_aside(subject))
    own: Callable[[str], Report] | None = wired("TIMELINE")
    if own is not None:
        report.add(own(subject))
    report.steps.sort(key=lambda step: step.at)
    return report


def clock(moment: datetime) -> str:
    """A time that is to come, with its date unless that is today's."""
    today = moment.astimezone(UTC).date() == timezone.now().date()
    return f"{moment.astimezone(UTC):{'%H:%M:%S' if today else '%Y-%m-%d %H:%M:%S'}} UTC"


def age(since: datetime) -> str:
    """How long ago, in the largest unit of which it has two."""
    seconds = max(0, int((timezone.now() - since).total_seconds()))
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _outbox(subject: str, broker_away: str) -> Report:
    report = Report()
    for row in OutboxMessage.objects.filter(subject=subject).order_by("id"):
        report.steps.append(Step(row.created_at, f"{row.type} written to the outbox"))
        if row.published_at is not None:
            report.steps.append(Step(row.published_at, f"{row.type} confirmed by the broker"))
        else:
            report.waits.append(_unsent(row, broker_away))
    return report


def _unsent(row: OutboxMessage, broker_away: str) -> Wait:
    since = f"{clock(row.created_at)} ({age(row.created_at)})"
    if broker_away:
        return Wait(
            f"{row.type} has waited in the outbox since {since}: the broker is away: {broker_away}",
            "The relay publishes it once the broker is back; it retries at least every 10 s.",
        )
    if row.attempts:
        return Wait(
            f"{row.type} is not published after {row.attempts} attempts: {mask(row.last_error)}",
            f"The relay tries again at {clock(row.next_attempt_at)}.",
        )
    closed = OutboxMessage.objects.unsent().filter(
        type=row.type, last_error__startswith=NOBODY_BOUND
    )
    if (spokesman := closed.first()) is not None:
        return Wait(
            f"{row.type} has waited in the outbox since {since}: {spokesman.last_error}, "
            "when the relay last tried",
            "The relay checks every 5 s, and publishes it once a queue is bound: run "
            "`manage.py declare_topology` of the service that handles it.",
        )
    if timezone.now() - row.created_at < SOON:
        return Wait(
            f"{row.type} is about to be published", "The relay publishes it within a second."
        )
    return Wait(
        f"{row.type} has waited in the outbox since {since}, although the broker answers: "
        "the relay does not run, or has a backlog",
        "Start `manage.py relay_outbox`, or look at its log.",
    )


def _inbox(subject: str) -> Report:
    rows = InboxMessage.objects.filter(subject=subject)
    return Report([Step(row.received_at, f"{row.type} handled") for row in rows])


def _set_aside(subject: str) -> Report:
    report = Report()
    about = Q(subject=subject)
    for row in SetAside.objects.filter(about).order_by("id"):
        name = row.type or "a message"
        for n, entry in enumerate(row.history):
            # The first is why it was set aside, the others are tries.
            verb = "failed again" if n else "set aside"
            what = (
                f"{name} {verb}: {entry['reason']}"
                if "reason" in entry
                else f"{name} " + (" ".join(value for key, value in entry.items() if key != "at"))
            )
            report.steps.append(Step(datetime.fromisoformat(entry["at"]), mask(what)))
        report.waits += _not_handled(row, name)
    return report


def _not_handled(row: SetAside, name: str) -> list[Wait]:
    if row.state == SetAside.State.RETRYING and row.next_attempt_at is not None:
        tries = len(conf.current().RETRY_DELAYS)
        coming = min(row.attempts + 1, tries)
        return [
            Wait(
                f"{name} could not be handled: {row.error}: {row.reason}",
                f"Retry {coming} of {tries} is due at {clock(row.next_attempt_at)}; "
                "the consumer makes it.",
            )
        ]
    if row.state == SetAside.State.DEAD:
        return [
            Wait(
                f"{name} is a dead letter in group {row.fingerprint}: {row.reason}",
                f"Nothing happens by itself. Fix the cause, then "
                f"`manage.py set_aside replay {row.id}`; "
                f"`manage.py set_aside show {row.id}` has the details.",
                stuck=True,
            )
        ]
    return []
