"""What happened to one subject here, what it waits for, and what happens next.

It reads the tables of messaging; the service's `TIMELINE` adds its own rows.
It shows no code and no address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from uuid import UUID

from django.utils import timezone

from admit_one.masking import mask, one_line
from admit_one.messaging import conf
from admit_one.messaging.models import NO_QUEUE, InboxMessage, OutboxMessage, SetAside
from admit_one.messaging.set_aside.groups import short
from admit_one.messaging.tombstones import Tombstone
from admit_one.wiring import wired

SOON = timedelta(seconds=5)
"""The age after which an unsent event is late."""


@dataclass(frozen=True)
class Step:
    """Something that has happened."""

    at: datetime
    what: str

    def __post_init__(self) -> None:
        # Parts of these texts are from third parties, and operators read them in a terminal.
        object.__setattr__(self, "what", one_line(self.what))


@dataclass(frozen=True)
class Wait:
    """Something that has not happened yet, and why."""

    why: str
    then: str
    """What happens next automatically, and when; or what somebody has to do."""
    stuck: bool = False
    """Whether nothing happens automatically."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "why", one_line(self.why))
        object.__setattr__(self, "then", one_line(self.then))


Parts = Iterable[Step | Wait | str]
"""What has happened, what has not, and sentences on what cannot be seen from here."""


@dataclass
class Timeline:
    """All that is known here of one subject."""

    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """What cannot be seen from here, and where to look."""

    @classmethod
    def of(cls, parts: Parts) -> Timeline:
        """The timeline of these parts, its steps with the oldest first."""
        parts = list(parts)
        return cls(
            sorted((part for part in parts if isinstance(part, Step)), key=lambda step: step.at),
            [part for part in parts if isinstance(part, Wait)],
            [part for part in parts if isinstance(part, str)],
        )


def subject_of(given: str) -> str:
    """The subject that `given` stands for: itself, or that of the event with this id."""
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
    """A UUID in lower case, as events write it; any other text as it is."""
    try:
        return str(UUID(given))
    except ValueError:
        return given


def of(subject: str, broker_error: str = "") -> Timeline:
    """Everything about `subject`, oldest first. `broker_error` is why the broker did not answer."""
    if not subject:  # it would match every unreadable message
        return Timeline()
    own: Callable[[str], Parts] = wired("TIMELINE", lambda _: ())
    messages = chain(_outbox(subject, broker_error), _inbox(subject), _set_aside(subject))
    return Timeline.of(chain(messages, _erasure(subject), own(subject)))


def clock(moment: datetime) -> str:
    """A time of day in UTC, with its date unless that is today's."""
    today = moment.astimezone(UTC).date() == timezone.now().date()
    return f"{moment.astimezone(UTC):{'%H:%M:%S' if today else '%Y-%m-%d %H:%M:%S'}} UTC"


def age(since: datetime) -> str:
    """How long ago, in the largest unit of which it has at least two."""
    seconds = max(0, int((timezone.now() - since).total_seconds()))
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _outbox(subject: str, broker_error: str) -> Iterator[Step | Wait]:
    for row in OutboxMessage.objects.filter(subject=subject).order_by("id"):
        yield Step(row.created_at, f"{row.type} written to the outbox")
        if row.published_at is not None:
            yield Step(row.published_at, f"{row.type} confirmed by the broker")
        else:
            yield _unsent(row, broker_error)


def _unsent(row: OutboxMessage, broker_error: str) -> Wait:
    since = f"{clock(row.created_at)} ({age(row.created_at)})"
    if broker_error:
        return Wait(
            f"{row.type} has waited in the outbox since {since}: "
            f"the broker is unavailable: {broker_error}",
            "The relay publishes it once the broker is back; it retries at least every 10 s.",
        )
    if row.attempts:
        return Wait(
            f"{row.type} is not published after {row.attempts} attempts: {mask(row.last_error)}",
            f"The relay tries again at {clock(row.next_attempt_at)}.",
        )
    closed = OutboxMessage.objects.unsent().filter(type=row.type, last_error__startswith=NO_QUEUE)
    if (marked := closed.first()) is not None:
        return Wait(
            f"{row.type} has waited in the outbox since {since}: {marked.last_error}, "
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
        "the relay is not running, or has a backlog",
        "Start `manage.py relay_outbox`, or look at its log.",
    )


def _inbox(subject: str) -> Iterator[Step]:
    for row in InboxMessage.objects.filter(subject=subject):
        yield Step(row.received_at, f"{row.type} handled")


def _set_aside(subject: str) -> Iterator[Step | Wait]:
    for row in SetAside.objects.filter(subject=subject).order_by("id"):
        name = row.type or "a message"
        for n, entry in enumerate(row.history):
            # The first is why it was set aside, the others are retries.
            verb = "failed again" if n else "set aside"
            what = (
                f"{name} {verb}: {entry['reason']}"
                if "reason" in entry
                else f"{name} " + (" ".join(value for key, value in entry.items() if key != "at"))
            )
            yield Step(datetime.fromisoformat(entry["at"]), mask(what))
        yield from _not_handled(row, name)


def _erasure(subject: str) -> Iterator[Step | Wait]:
    for stone in Tombstone.objects.filter(subject=subject):
        if stone.erased_at is not None:
            yield Step(stone.erased_at, "its person was erased here")
        if stone.answered_at is not None:
            yield Step(stone.answered_at, "and on the other side, which reports it")
        if stone.next_request_at is not None:
            yield Wait(
                "its person is to be erased on the other side, too, which has not answered",
                f"The request is repeated at {clock(stone.next_request_at)}, until it answers.",
            )


def _not_handled(row: SetAside, name: str) -> Iterator[Wait]:
    if row.state == SetAside.State.RETRYING and row.next_attempt_at is not None:
        retries = len(conf.current().RETRY_DELAYS)
        due = min(row.attempts + 1, retries)
        yield Wait(
            f"{name} could not be handled: {row.error}: {row.reason}",
            f"Retry {due} of {retries} is due at {clock(row.next_attempt_at)}; "
            "the consumer makes it.",
        )
    if row.state == SetAside.State.DEAD:
        yield Wait(
            f"{name} is a dead letter in group {short(row.fingerprint)}: {row.reason}",
            f"Nothing happens automatically. Fix the cause, then "
            f"`manage.py set_aside replay {row.id}`; "
            f"`manage.py set_aside show {row.id}` has the details.",
            stuck=True,
        )
