"""How the commands about a person name one: by users, addresses or subjects.

A user id belongs to a client, and an address may have had another owner: whatever may be somebody
else's is not taken before it is named.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.core.management.base import CommandError

from admit_one.messaging.tombstones import Tombstone

from . import library
from .definition import Person, definition

ANY_CLIENT = (
    "this side does not know whose users and addresses these are: begin where clients are known, "
    "or name subscriptions, or give --any-client"
)


class Chosen(NamedTuple):
    """What was named, and whether it may be taken."""

    subjects: list[str]
    clients: dict[str, str]
    """The client of each subject, where it is known."""
    unassigned: dict[str, str]
    """What is theirs and is about no subject yet, with its client."""
    remarks: list[str]
    """What was found as well, and what was not found, in words."""
    refusal: str
    """Why nothing of it may be taken; empty if it may be."""

    def counted(self, subjects: Sequence[str] | None = None) -> str:
        """How many there are, in words; of these subjects, if they are not all."""
        number = len(self.subjects if subjects is None else subjects)
        others = len(self.unassigned)
        words = [f"{number} subscriptions"] if number or not others else []
        words += [f"{others} {definition().unassigned.called}s"] if others else []
        return " and ".join(words)

    def check(self) -> None:
        """Raises `CommandError` if it is refused."""
        if self.refusal:
            raise CommandError(self.refusal)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--user-id", action="append", default=[], metavar="ID", help="all subscriptions of a user"
    )
    parser.add_argument(
        "--email", action="append", default=[], metavar="ADDRESS", help="all of an address"
    )
    parser.add_argument(
        "--subscription", action="append", default=[], type=UUID, metavar="ID", help="this one"
    )
    if definition().clients:
        parser.add_argument(
            "--client",
            action="append",
            default=[],
            metavar="NAME",
            help="whose users and addresses they are, if several clients have such ones",
        )
    else:
        parser.add_argument(
            "--any-client",
            action="store_true",
            help="also by --user-id and --email, of whichever client they are",
        )
    parser.add_argument(
        "--unknown", action="store_true", help="also ids about which nothing is kept here"
    )


def chosen(
    *,
    user_id: Sequence[str],
    email: Sequence[str],
    subscription: Sequence[UUID],
    client: Sequence[str] = (),
    any_client: bool = False,
    unknown: bool,
    **_: Any,
) -> Chosen:
    """What is named, sorted. Raises `CommandError` if nothing is."""
    if not (user_id or email or subscription):
        raise CommandError("expected --user-id, --email or --subscription", returncode=2)
    if (user_id or email) and not (definition().clients or any_client):
        raise CommandError(ANY_CLIENT, returncode=2)
    clients: dict[str, str] = {}
    uncertain: dict[str, str] = {}
    remarks: list[str] = []
    # Not the name itself: it would stand in what a job keeps of its output.
    for name, person in _one_by_one(user_id, email, client):
        theirs = definition().find(person)
        clients |= theirs.subjects
        uncertain |= theirs.uncertain
        if not theirs.subjects and not definition().unassigned.find(person).subjects:
            remarks.append(f"nothing is kept here under {name}")
    named = definition().unassigned.find(Person(user_id, email, clients=client))
    owners = sorted({*clients.values(), *named.subjects.values()})
    given = {str(each) for each in subscription}
    clients |= definition().find(Person(subjects=given)).subjects
    not_kept = sorted(given - clients.keys() - _erased_before(given))
    subjects = sorted({*clients, *given} if unknown else {*clients, *given} - {*not_kept})
    remarks += [
        f"{subject}  not taken, because {why}: give it by --subscription if it is theirs"
        for subject, why in sorted(uncertain.items())
        if subject not in subjects
    ]
    theirs = definition().unassigned.find(Person(subjects=subjects))
    unassigned = {**named.subjects, **theirs.subjects}
    remarks += [
        f"{each}  {definition().unassigned.called}, not taken, because {why}, if it is theirs"
        for each, why in sorted({**theirs.uncertain, **named.uncertain}.items())
        if each not in unassigned
    ]
    refusal = _refusal([*subjects, *unassigned], not_kept, owners, client, unknown=unknown)
    return Chosen(subjects, clients, dict(sorted(unassigned.items())), remarks, refusal)


def unopened() -> list[str]:
    """What could not be searched for anybody, in words."""
    number = library.unopened()
    if not number:
        return []
    return [
        f"{number} unreadable messages do not open, and may be about anybody: "
        "their key is not in SEALING_KEYS"
    ]


def unsearched() -> list[str]:
    """What is about no subject and could not be searched for anybody, in words."""
    unassigned = definition().unassigned
    number = unassigned.unsearched()
    return [f"{number} {unassigned.called}s cannot be read, and may be anybody's"] if number else []


def _one_by_one(
    user_id: Sequence[str], email: Sequence[str], client: Sequence[str]
) -> Iterator[tuple[str, Person]]:
    for number, each in enumerate(user_id, 1):
        yield f"--user-id no. {number}", Person(user_ids=[each], clients=client)
    for number, each in enumerate(email, 1):
        yield f"--email no. {number}", Person(emails=[each], clients=client)


def _erased_before(subjects: set[str]) -> set[str]:
    return set(Tombstone.objects.filter(pk__in=subjects).values_list("pk", flat=True))


def _refusal(
    found: Sequence[str],
    not_kept: Sequence[str],
    owners: Sequence[str],
    client: Sequence[str],
    *,
    unknown: bool,
) -> str:
    if not_kept and not unknown:
        return f"nothing is kept here about {', '.join(not_kept)}: leave it out, or give --unknown"
    if not found:
        return "nothing is kept here about such a person"
    if len(owners) > 1 and not client:
        return f"they are of several clients, {', '.join(owners)}: give the right --client"
    return ""
