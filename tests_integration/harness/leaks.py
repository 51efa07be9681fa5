"""Searches all that a system has written for what may stand nowhere: secrets, codes, addresses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import psycopg

from .deployment import Deployment

SEPARATORS = rb"(?:[-_. +]|%2D)"
GROUPED = re.compile(rb"(?:[0-9A-Za-z]{4}%(s)s){3,}[0-9A-Za-z]{4}" % {b"s": SEPARATORS})
BARE = re.compile(rb"[0-9A-Za-z]{16,}")
BETWEEN_GROUPS = re.compile(SEPARATORS)
AT = re.compile(rb"(?:@|%40)(?=[0-9A-Za-z])")
AROUND = 60
"""Bytes shown before and after what was found."""

SHOWN_AT_MOST = 3

KEPT_BY_US = {"mails", "keys.json", "definitions.json"}
"""The mailbox, and the keys and logins that tests give to services and servers."""

ADDRESSES = (
    "files/payment.sqlite3",
    "payment_service.subscriptions_subscription",
    "payment_service.web_idempotencykey",
    "postgresql/",
)
"""Where addresses may stand: in the payment database, whose API shows them. PostgreSQL's files are
those of both databases."""

Written = tuple[str, bytes]
"""The name of a place, and what was written there."""

KEYS = ("SECRET_KEY", "SEALING_KEYS", "WIRE_KEYS", "CODE_LOOKUP_KEY", "STRIPE_WEBHOOK_SECRETS")


@dataclass(frozen=True)
class Hidden:
    """What may stand nowhere. `secrets` are by name."""

    secrets: Mapping[str, str]
    codes: frozenset[str]
    addresses: frozenset[str]

    def in_text(self, text: bytes) -> Iterator[str]:
        """What is found in `text`, each with its surroundings."""
        yield from self.secrets_in(text)
        yield from self.codes_in(text)
        yield from self.addresses_in(text)

    def secrets_in(self, text: bytes) -> Iterator[str]:
        for name, form in self._forms:
            if (at := text.find(form)) >= 0:
                yield f"{name}: {_around(text, at, at + len(form))}"

    def codes_in(self, text: bytes) -> Iterator[str]:
        bare = self._bare
        for run in GROUPED.finditer(text):
            groups = BETWEEN_GROUPS.split(run[0].upper())
            if any(b"".join(groups[i : i + 4]) in bare for i in range(len(groups) - 3)):
                yield f"code: {_around(text, *run.span())}"
        for run in BARE.finditer(text):
            letters = run[0].upper()
            if any(letters[i : i + 16] in bare for i in range(len(letters) - 15)):
                yield f"code: {_around(text, *run.span())}"

    def addresses_in(self, text: bytes) -> Iterator[str]:
        lengths = {len(local) for locals_ in self._by_domain.values() for local in locals_}
        for at in AT.finditer(text):
            for domain, locals_ in self._by_domain.items():
                before = (text[max(0, at.start() - length) : at.start()] for length in lengths)
                if text.startswith(domain, at.end()) and not locals_.isdisjoint(before):
                    yield f"address: {_around(text, at.start(), at.end())}"

    @cached_property
    def _forms(self) -> list[tuple[str, bytes]]:
        return [(name, form) for name, secret in self.secrets.items() for form in forms(secret)]

    @cached_property
    def _bare(self) -> set[bytes]:
        return {code.replace("-", "").encode() for code in self.codes}

    @cached_property
    def _by_domain(self) -> dict[bytes, set[bytes]]:
        by_domain: dict[bytes, set[bytes]] = {}
        for address in self.addresses:
            local, _, domain = address.encode().rpartition(b"@")
            by_domain.setdefault(domain, set()).add(local)
        return by_domain


def hidden_in(deployment: Deployment, secrets: Mapping[str, str] = {}) -> Hidden:
    """The keys of both services, `secrets`, and each code and address of the system so far."""
    # The secret itself may have underscores.
    keys = {"API key": deployment.api_key.split("_", 2)[2], **secrets}
    for service in deployment.place.database_urls:
        environment = deployment.system.environment(service)
        for name in KEYS:
            for number, entry in enumerate(environment.get(name, "").split(",")):
                keys[f"{service} {name} {number}"] = entry.rpartition(":")[2]
    shown = deployment.payments.whole()
    mails = [mail for mails in deployment.mailbox.by_recipient().values() for mail in mails]
    codes = {each.access_code for each in shown} | {code for mail in mails for code in mail.codes}
    addresses = {each.email for each in shown} | {mail.to for mail in mails}
    return Hidden(
        {name: secret for name, secret in keys.items() if secret},
        frozenset(code for code in codes if code),
        frozenset(addresses),
    )


def forms(secret: str) -> Iterator[bytes]:
    """The ways in which a secret is written: as it is, escaped, in base64 or as the bytes it is."""
    raw = secret.encode()
    yield from dict.fromkeys(
        (raw, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode())
    )
    yield from _in_base64(raw)
    try:
        key = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except ValueError:
        return
    if len(key) == 32:
        yield key
        yield key.hex().encode()
        yield base64.b64encode(key).rstrip(b"=")


def files(folder: Path, title: str, since: float = 0.0) -> Iterator[Written]:
    """Each file of a folder that was written `since`; servers may delete some meanwhile."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not KEPT_BY_US.intersection(inside.parts):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime >= since:
                    yield f"{title}/{inside}", path.read_bytes()


def tables(url: str, title: str) -> Iterator[Written]:
    """Each table of a PostgreSQL database, as CSV."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in names:
            query = f'COPY "{name}" TO STDOUT (FORMAT csv, HEADER)'.encode()
            with connection.cursor().copy(query) as rows:
                yield f"{title}.{name}", b"".join(bytes(row) for row in rows)


def found(hidden: Hidden, written: Iterable[Written]) -> list[str]:
    """Where something hidden was written, and what; at most `SHOWN_AT_MOST` for each place."""
    no_addresses = replace(hidden, addresses=frozenset())
    return [
        f"{place}: {what}"
        for place, text in written
        for what in islice(
            (no_addresses if place.startswith(ADDRESSES) else hidden).in_text(text), SHOWN_AT_MOST
        )
    ]


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """`raw` within a longer text, whatever stands before and after it."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        own = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        yield own
        yield own.replace(b"+", b"-").replace(b"/", b"_")


def _around(text: bytes, start: int, end: int) -> str:
    return repr(text[max(0, start - AROUND) : end + AROUND])
