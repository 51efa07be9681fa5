"""Messages that nobody should handle, made from a seed: what is wrong with each is known."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from admit_one.messaging.testing import an_envelope

from tests.contract.events import UserSubscribed

ADDRESS = "leak@canary.example"
CODE = "CANA-RYC0-DE00-0001"
"""Planted in every message; neither may ever be read in a log or in a reason."""


@dataclass(frozen=True)
class Bad:
    kind: str
    body: bytes
    says: str
    """What the reason must name."""
    properties: dict[str, Any] = field(default_factory=dict)


def bad_messages(seed: int, number: int, handled: list[bytes]) -> Iterator[Bad]:
    """`number` bad messages of all kinds in turn; `handled` are good ones, whose ids are used."""
    rng = random.Random(seed)
    for n in range(number):
        kind = KINDS[n % len(KINDS)]
        yield kind(rng, handled)


def event(**changes: Any) -> dict[str, Any]:
    """A good event about a new subscription; `changes` are of its data."""
    made = json.loads(an_envelope(UserSubscribed, email=ADDRESS).to_json())
    made["data"] |= changes
    return dict(made)


def raw(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


NO_TEXT: list[Any] = [True, [], {}, 1.5, {"$ne": 1}, [CODE], {"code": CODE}]
WRONG: dict[str, list[Any]] = {
    "user_id": [*NO_TEXT, "", " ", CODE + "\n" + CODE, "x" * 65],
    "email": [
        *NO_TEXT, "", CODE, f"{ADDRESS}, {ADDRESS}", f"{ADDRESS}\r\nBcc: {ADDRESS}", f"<{ADDRESS}>",
    ],
    "plan": [*NO_TEXT, 7, "", "a b", "x" * 65, f"{ADDRESS} {CODE}"],
    "amount": [*NO_TEXT, -1, 2**60, "4900", CODE],
    "currency": [*NO_TEXT, 7, "", "eur", "EURO", "\u20ac\u20ac\u20ac", CODE],
    "occurred_at": [*NO_TEXT, 0, 1767323045, "now", "2026-01-02", "9999-99-99T00:00:00Z", CODE],
    "subscription_id": [*NO_TEXT, 7, "", "not-a-uuid", ADDRESS, "0" * 31, "../../etc/passwd"],
}  # fmt: skip


def wrong_type(rng: random.Random, _: list[bytes]) -> Bad:
    name = rng.choice(list(WRONG))
    return Bad("wrong type", raw(event(**{name: rng.choice(WRONG[name])})), f"data.{name}: ")


def wrong_attribute(rng: random.Random, _: list[bytes]) -> Bad:
    name = rng.choice(["id", "source", "type", "subject", "time"])
    made = event() | {name: rng.choice([*NO_TEXT, "", "\n", f"{ADDRESS}\x1b[2J"])}
    return Bad("wrong attribute", raw(made), f"{name}: ")


def missing(rng: random.Random, _: list[bytes]) -> Bad:
    name = rng.choice(["id", "source", "type", "subject", "time", "data"])
    made = event()
    if rng.random() < 0.5:
        del made[name]
    else:
        made[name] = None
    return Bad("missing", raw(made), f"{name}: Field" if name != "data" else "data")


def missing_field(rng: random.Random, _: list[bytes]) -> Bad:
    made = event()
    name = rng.choice(list(WRONG))
    del made["data"][name]
    return Bad("missing field", raw(made), f"data.{name}: Field required")


def huge(rng: random.Random, handled: list[bytes]) -> Bad:
    if rng.random() < 0.9:  # a hundred megabytes would show no more than ten
        return nested(rng, handled)
    body = raw(event(plan="x" * rng.randint(262_145, 300_000)))
    return Bad("huge", body, "bytes, expected at most 262,144")


def empty(rng: random.Random, _: list[bytes]) -> Bad:
    return Bad("empty", b"", "the body is empty")


def blank(rng: random.Random, _: list[bytes]) -> Bad:
    return Bad("blank", rng.choice([b" ", b"\n", b"\t"]) * rng.randint(1, 99), "is not JSON")


def content_type(rng: random.Random, _: list[bytes]) -> Bad:
    given = rng.choice(
        [
            "text/plain", "application/x-python-serialize", "application/cloudevents-batch+json",
            "application/xml", "x" * 255, f"a/{CODE}", ADDRESS, "{0.__class__}", "%s%s%n",
        ]
    )  # fmt: skip
    return Bad("content type", raw(event()), "content_type: expected", {"content_type": given})


def content_encoding(rng: random.Random, _: list[bytes]) -> Bad:
    given = rng.choice(["gzip", "br", "latin-1", "utf-16", "no-such", CODE, ADDRESS])
    body = gzip.compress(raw(event())) if given == "gzip" else raw(event())
    return Bad(
        "content encoding", body, "content_encoding: expected utf-8", {"content_encoding": given}
    )


def charset(rng: random.Random, _: list[bytes]) -> Bad:
    given = f"application/json; charset={rng.choice(['latin-1', 'UTF-16', 'ebcdic'])}"
    body = json.dumps(event()).encode("utf-16")
    return Bad("charset", body, "content_encoding: expected utf-8", {"content_type": given})


def broken_utf8(rng: random.Random, _: list[bytes]) -> Bad:
    body = raw(event())
    at = rng.randrange(len(body))
    broken = rng.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80"])
    return Bad("broken UTF-8", body[:at] + broken + body[at:], "the body is not UTF-8")


def nested(rng: random.Random, _: list[bytes]) -> Bad:
    depth = rng.randint(20_000, 30_000)
    body = b"[" * depth + str(rng.getrandbits(64)).encode() + b"]" * depth
    return Bad("deep nesting", body, "nested too deeply")


def future_version(rng: random.Random, _: list[bytes]) -> Bad:
    made = event() | {"specversion": rng.choice(["2.0", "1.1", "0.3", "", 1.0, CODE])}
    return Bad("future version", raw(made), "specversion: ")


def future_type(rng: random.Random, _: list[bytes]) -> Bad:
    kind = rng.choice(["user_subscribed.v2", "user_left", ADDRESS, CODE, "'; DROP TABLE x; --"])
    return Bad("future type", raw(event() | {"type": kind}), "no event of type")


def another_body(rng: random.Random, handled: list[bytes]) -> Bad:
    known = json.loads(rng.choice(handled))
    made = event() | {"id": known["id"]}
    return Bad("another body", raw(made), "its id was used before, for another body")


def forged(rng: random.Random, _: list[bytes]) -> Bad:
    made = event() | {"source": rng.choice(["/student_service", "payment_service", f"/{ADDRESS}"])}
    return Bad("forged source", raw(made), "source: expected /payment_service")


def another_subject(rng: random.Random, _: list[bytes]) -> Bad:
    made = event() | {"subject": rng.choice([ADDRESS, CODE, event()["subject"], "\u202egnp.exe"])}
    return Bad("another subject", raw(made), "subject: expected the subscription_id")


def not_an_object(rng: random.Random, _: list[bytes]) -> Bad:
    made = rng.choice([[event()], json.dumps(event()), rng.random(), rng.getrandbits(64)])
    return Bad("not an object", raw(made), "expected a JSON object, got ")


def cut(rng: random.Random, _: list[bytes]) -> Bad:
    body = raw(event())
    hostile = rng.choice([ADDRESS, CODE, "\x1b[2J", "a" * 9_000, {CODE: [ADDRESS]}, -1, None])
    headers = {rng.choice([ADDRESS, CODE, "x-death", "x-delivery-count"]): hostile}
    return Bad(
        "cut, with headers",
        body[: rng.randrange(1, len(body) - 1)],
        "the body is not JSON",
        {"application_headers": headers},
    )


def ambiguous(rng: random.Random, _: list[bytes]) -> Bad:
    body = raw(event())
    old, new, says = rng.choice(
        [
            (b'"plan"', b'"plan": "x", "plan"', "has a key twice"),
            (b"4900", b"NaN", "which is not JSON"),
            (b"4900", b"-Infinity", "which is not JSON"),
            (b"4900", b"1e999", "a number that is too large"),
            (b"4900", b"9" * 5_000, "a number with too many digits"),
            (b'"gold"', b'"go\\u0000ld"', "NUL or half a surrogate pair"),
            (b'"gold"', b'"go\\udc00ld"', "NUL or half a surrogate pair"),
        ]
    )
    return Bad("ambiguous", body.replace(old, new), says)


KINDS: list[Callable[[random.Random, list[bytes]], Bad]] = [
    wrong_type, wrong_attribute, missing, missing_field, empty, blank, content_type,
    content_encoding, charset, broken_utf8, future_version, future_type, another_body, forged,
    another_subject, not_an_object, cut, ambiguous, wrong_type, missing_field, another_body,
    wrong_attribute, broken_utf8, cut, ambiguous, nested, huge,
]  # fmt: skip
