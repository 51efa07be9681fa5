"""Opens what the services have sealed for each other, as only they themselves can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admit_one.contract.registry import EVENTS
from admit_one.contract.sealed import is_sealed, sealed_fields
from admit_one.trust import base64url, sealing
from admit_one.trust.keys import Own, Peer, PublicKey, WireKey
from shared_contracts.topology import TOPOLOGY

Event = dict[str, Any]


class WireKeys:
    """The wire keys of both services, from the environments of their processes."""

    def __init__(self, environments: Mapping[str, Mapping[str, str]]) -> None:
        self._own = {
            service: Own(service, dict(map(_key, environments[service]["WIRE_KEYS"].split(","))))
            for service in TOPOLOGY
        }

    def opened(self, event: Event) -> Event:
        """The event with all its values in clear."""
        data = event["data"]
        reader = EVENTS[event["type"]].sealed_for if event["type"] in EVENTS else ""
        values = {
            name: sealing.unseal(
                (event["id"], event["type"], name), text, self._own[reader], self._sender(event)
            )
            for name, text in data.items()
            if reader and is_sealed(text)
        }
        return {**event, "data": {**data, **values}}

    def sealed(self, event: Event) -> Event:
        """The event as it travels, sealed by its sender."""
        kind = EVENTS[event["type"]]
        values = {
            name: sealing.seal(
                (event["id"], event["type"], name),
                event["data"][name],
                self._own[kind.producer],
                self._peer(kind.sealed_for),
            )
            for name in sealed_fields(kind)
        }
        return {**event, "data": {**event["data"], **values}}

    def _sender(self, event: Event) -> Peer:
        return self._peer(event["source"].lstrip("/"))

    def _peer(self, service: str) -> Peer:
        keys = self._own[service].keys.items()
        return Peer(service, {key_id: PublicKey(key.public) for key_id, key in keys})


def _key(entry: str) -> tuple[str, WireKey]:
    key_id, _, text = entry.partition(":")
    return key_id, WireKey(base64url.decode(text))
