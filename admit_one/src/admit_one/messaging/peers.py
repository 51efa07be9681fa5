"""Signs, verifies, seals and unseals for this service, with the keys of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.core.signals import setting_changed

from admit_one.contract import Envelope, Event
from admit_one.contract.envelope import Place
from admit_one.contract.errors import Malformed, Unauthenticated, Undeliverable
from admit_one.contract.registry import EVENTS
from admit_one.contract.sealed import is_sealed, sealed_fields
from admit_one.trust import sealing, signatures
from admit_one.trust.keys import Own, Peer, PublicKey, WireKey

from . import conf

SIGNATURE = "event-signature"
"""The AMQP header with the signature of an event."""


@cache
def own() -> Own:
    """This service's name and wire keys, derived once and kept."""
    current = conf.current()
    return Own(
        current.service.name, {kid: WireKey(secret) for kid, secret in current.WIRE_KEYS.items()}
    )


@cache
def peer(service: str) -> Peer:
    """Another service and its public keys; a service may also be its own peer."""
    if service == own().service:
        return Peer(service, {kid: PublicKey(key.public) for kid, key in own().keys.items()})
    given = conf.current().PEER_KEYS.get(service, {})
    return Peer(service, {kid: PublicKey(raw) for kid, raw in given.items()})


def signature_of(envelope: Envelope[Any], body: bytes) -> str:
    """The signature of a signed event with this body; empty for any other event.

    Raises `Undeliverable` if there is no key, and keys are not optional.
    """
    event = type(envelope.data)
    receivers = conf.current().topology.receivers(event)
    if not event.signed or not receivers or not _has(own().keys, "WIRE_KEYS", event):
        return ""
    return signatures.sign(body, own(), receivers[0])


def signature_in(headers: Mapping[str, Any]) -> str:
    """The signature in the AMQP headers of a message; a third party may send anything there."""
    given = headers.get(SIGNATURE)
    return given[: signatures.LONGEST] if isinstance(given, str) else ""


def check_signature(
    envelope: Envelope[Any], body: bytes, signature: str, received_at: datetime
) -> None:
    """Check who sent a signed event, and when. `received_at` is when it came first.

    Raises `Unauthenticated`, or `UnknownKey` if the sender's key may be listed later.
    """
    current = conf.current()
    sender = peer(envelope.data.producer)
    if not envelope.data.signed or _may_lack_keys(sender.service):
        return
    signatures.verify(body, signature, current.service.name, sender)
    patience = timedelta(days=current.SIGNED_DAYS)
    if envelope.time < received_at - patience:
        raise Unauthenticated(
            f"it was signed more than {patience.days} days before it came: it may be a copy"
        )
    if envelope.time > received_at + patience:  # a copy of it could come for as much longer
        raise Unauthenticated(
            f"its time lies more than {patience.days} days ahead: a clock is wrong"
        )


def seal(place: Place, value: str) -> str:
    """The value of a field as it travels: sealed for its reader, whose keys are known.

    Raises `Undeliverable` if a key is missing, and keys are not optional.
    """
    event = EVENTS[place[1]]
    reader = peer(event.sealed_for)
    known = _has(own().keys, "WIRE_KEYS", event)
    if not _has(reader.keys, f"PEER_KEYS of {reader.service}", event) or not known:
        return value
    return sealing.seal(place, value, own(), reader)


def unseal(place: Place, text: str) -> str:
    """The value of a field that may be sealed; its text if it is in clear, or for another service.

    Raises `UnknownKey`, or `Malformed` if it was changed or sealed for another place, or is in
    clear where its event must be sealed.
    """
    event = EVENTS[place[1]]
    if event.sealed_for != own().service:
        return text
    if not is_sealed(text):
        if event.sealed_only and not _may_lack_keys(event.producer):
            name = place[-1]
            raise Malformed(f"data.{name}: expected it sealed; in clear, anybody may have sent it")
        return text
    return sealing.unseal(place, text, own(), peer(event.producer))


def _may_lack_keys(sender: str) -> bool:
    """Whether what this service sends may be neither signed nor sealed, as in development."""
    return conf.current().WIRE_KEYS_OPTIONAL and not peer(sender).keys


def unsealed_values(event: Event) -> dict[str, str]:
    """The values of the fields that are sealed for this service."""
    ours = sealed_fields(type(event)) if event.sealed_for == own().service else ()
    return {name: value for name in ours if not is_sealed(value := getattr(event, name))}


def missing_keys() -> dict[str, type[Event]]:
    """Where a key is missing, with an event that this service exchanges and that needs it."""
    current, service = conf.current(), conf.current().service
    missing: dict[str, type[Event]] = {}
    for event in (*service.publishes, *service.handles):
        sent, read = event.producer == service.name, event.sealed_for == service.name
        if (sent and (event.signed or event.sealed_for)) or read:
            missing |= {} if current.WIRE_KEYS else {"WIRE_KEYS": event}
        other = event.sealed_for if sent else event.producer if event.signed or read else ""
        if other not in {"", service.name} and not current.PEER_KEYS.get(other):
            missing[f"PEER_KEYS of {other}"] = event
    return missing


def _has(keys: Mapping[str, Any], setting: str, event: type[Event]) -> bool:
    if not keys and not conf.current().WIRE_KEYS_OPTIONAL:
        raise Undeliverable(f"{event.type} needs a key: there is none in {setting}")
    return bool(keys)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "MESSAGING":
        own.cache_clear()
        peer.cache_clear()


setting_changed.connect(_forget)
