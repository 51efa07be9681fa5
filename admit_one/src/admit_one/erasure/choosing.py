"""How the commands about a person name one: by users, addresses or subjects."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from uuid import UUID

from django.core.management.base import CommandError

from .definition import Person, definition


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


def chosen(user_id: Sequence[str], email: Sequence[str], subscription: Sequence[UUID]) -> list[str]:
    """The subjects that are named, sorted. Raises `CommandError` if there are none."""
    if not (user_id or email or subscription):
        raise CommandError("expected --user-id, --email or --subscription", returncode=2)
    subjects = definition().find(Person(user_id, email, [str(each) for each in subscription]))
    if not subjects:
        raise CommandError("nothing is kept here about such a person")
    return sorted(subjects)
