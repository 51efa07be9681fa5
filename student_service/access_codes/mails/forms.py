"""A mail's bytes with places for what differs from mail to mail, which is put in.

To compose a mail takes more time than to hand it over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate
from typing import NamedTuple

BOUNDARY = re.compile(rb'boundary="([^"]+)"')
DATE = re.compile(rb"^Date: ([^\r\n]+)", re.MULTILINE)

SOFT_BREAK = b"=\r\n"

CODE = re.compile(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}")
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,40}@[A-Za-z0-9.-]{1,24}")
"""One that stands in a header as it is, and leaves it on one line."""
NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Values(NamedTuple):
    """What differs from mail to mail, beside the date."""

    code: str
    address: str
    name: str
    """The Message-ID up to its domain."""

    @property
    def fit(self) -> bool:
        """Whether they stand in a mail as they are, as those of a form's marks do."""
        return bool(
            CODE.fullmatch(self.code)
            and ADDRESS.fullmatch(self.address)
            and NAME.fullmatch(self.name)
        )


# They have no sign in common, and each sign of all codes is in one of them: whatever a template
# makes of a code, such as small letters or a part of it, shows when the two mails are compared.
MARKS = Values("0G1H-2J3K-4M5N-6P7Q", "a.mark@example.org", "01a22322-b391-7330-8076-f4dc63685fb8")
OTHERS = Values("A8BR-CSDT-EVFW-XYZ9", "other@b.example", "f9b8d7c6-5e4a-4d21-b5b3-a8b9c0d1e2f3")


class Form:
    """The bytes of a mail that was composed with `MARKS`."""

    def __init__(self, wire: bytes) -> None:
        marks = [mark.encode() for mark in MARKS]
        if date := DATE.search(wire):
            marks.append(date[1])
        places = {mark: place for place, mark in enumerate(marks)}
        pieces = re.split(b"(%s)" % b"|".join(map(_anyhow_broken, marks)), wire)
        self._pieces = pieces[::2]
        self._places = [
            (places[mark.replace(SOFT_BREAK, b"")], mark.find(SOFT_BREAK)) for mark in pieces[1::2]
        ]

    def filled(self, values: Values, date: str) -> bytes:
        """The mail with these values in it. They must `fit`."""
        given = [*(value.encode() for value in values), date.encode()]
        filled = [self._pieces[0]]
        for (place, broken_at), piece in zip(self._places, self._pieces[1:], strict=True):
            value = given[place]
            if broken_at >= 0:
                value = value[:broken_at] + SOFT_BREAK + value[broken_at:]
            filled += value, piece
        return b"".join(filled)


def _anyhow_broken(mark: bytes) -> bytes:
    """A pattern for this mark, perhaps with a line break of quoted-printable in it."""
    signs = [re.escape(mark[at : at + 1]) for at in range(len(mark))]
    return (b"(?:%s)?" % re.escape(SOFT_BREAK)).join(signs)


def form_of(compose: Callable[[Values], bytes]) -> Form | None:
    """The form of what `compose` makes of any values; none if more of it depends on them.

    Raises whatever `compose` does.
    """
    first, second = compose(MARKS), compose(OTHERS)
    form, date = Form(first), DATE.search(second)
    boundaries = BOUNDARY.search(first), BOUNDARY.search(second)
    if boundaries[0] and boundaries[1]:
        second = second.replace(boundaries[1][1], boundaries[0][1])
    same = date is not None and form.filled(OTHERS, date[1].decode()) == second
    return form if same else None


def now() -> str:
    """As a mail's header `Date` has it."""
    return formatdate()
