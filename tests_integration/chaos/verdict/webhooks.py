"""Clients hear of what happens to theirs, at least once, and of nothing else."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from tests_integration.chaos.load.webhooks import ACCEPTING, Received, Receiver

from .evidence import Evidence, Happened
from .findings import Verdict

ONCE = {
    "subscription.cancelled",
    "subscription.refunded",
    "order.completed",
    "access.redeemed",
    "access.replaced",
    "access.revoked",
}
"""What happens once, so that a second webhook about it is one too many."""

LASTING = ONCE - {"subscription.cancelled"}
"""Of these the databases show all; what was cancelled may be refunded since."""

FIELDS = {"subscription_id", "order_id", "status", "seats", "access_id", "uses"}
"""Of a body's data: ids, states and counts."""

AN_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.\d+)?"
HARMLESS = re.compile(rf"{AN_ID}|[a-z_]{{1,16}}|\d{{1,9}}|None")


class News(NamedTuple):
    """What a webhook says."""

    type: str
    subject: str
    number: int = 0


def webhooks(evidence: Evidence, verdict: Verdict, *, broker_loses: bool) -> None:
    """What a broker has lost is repaired, but not all of it is reported."""
    heard: dict[Receiver, dict[News, set[str]]] = defaultdict(lambda: defaultdict(set))
    bodies: dict[str, set[str]] = defaultdict(set)
    for each in evidence.received:
        bodies[each.webhook_id].add(each.body)
        if not each.is_signed:
            verdict.unaccounted.append(f"webhook {each.webhook_id} is not signed")
        if each.is_accepted:
            heard[each.receiver][news(each)].add(each.webhook_id)
    for webhook_id, different in bodies.items():
        if len(different) > 1:
            verdict.doubled.append(f"webhook {webhook_id} came with {len(different)} bodies")
        verdict.leaked += [
            f"webhook {webhook_id} has {name}" for body in different for name in foreign(body)
        ]
    owned = (each for each in evidence.happened if each.client)
    owners = {(each.service, each.subject): each.client for each in owned}
    for receiver, types in evidence.listening.items():
        if receiver.name in ACCEPTING:
            expected = {each for each in evidence.happened if _concerns(each, receiver)}
            due = {_news(each) for each in expected if each.type in types}
            if not broker_loses:
                verdict.lost += [_shown(each, receiver) for each in due - heard[receiver].keys()]
            _compare(receiver, heard[receiver], due, owners, verdict)
    verdict.unaccounted += evidence.followed


def _compare(
    receiver: Receiver,
    heard: Mapping[News, Collection[str]],
    due: Collection[News],
    owners: Mapping[tuple[str, str], str],
    verdict: Verdict,
) -> None:
    """`owners` are clients, by service and subject."""
    for each, ids in heard.items():
        if owners.get((receiver.service, each.subject), receiver.client) != receiver.client:
            verdict.leaked.append(f"{_what(each)} was reported to another client")
        elif each.type in LASTING and each not in due:
            verdict.unaccounted.append(f"{_what(each)} was reported, but did not happen")
        if each.type in ONCE and len(ids) > 1:
            verdict.doubled.append(f"{_what(each)} was reported by {len(ids)} webhooks")


def news(received: Received) -> News:
    body = json.loads(received.body)
    data, kind = body["data"], body["type"]
    number = 0
    if kind == "access.redeemed":
        number = data["uses"]
    elif kind == "access.replaced":
        number = int(data["access_id"].rpartition(".")[2])
    subject = data.get("subscription_id") or data.get("order_id")
    return News(kind, str(subject), number)


def foreign(body: str) -> Iterator[str]:
    """The names of what is no id, state or count."""
    data: dict[str, Any] = json.loads(body)["data"]
    for name, value in data.items():
        if name not in FIELDS or not HARMLESS.fullmatch(str(value)):
            yield name


def _concerns(happened: Happened, receiver: Receiver) -> bool:
    is_theirs = happened.client in {"", receiver.client}
    return is_theirs and happened.service == receiver.service


def _news(happened: Happened) -> News:
    return News(happened.type, happened.subject, happened.number)


def _shown(each: News, receiver: Receiver) -> str:
    return f"{_what(each)} was not reported to {receiver.path}"


def _what(each: News) -> str:
    which = f" ({each.number})" if each.number else ""
    return f"{each.type} of {each.subject}{which}"
