"""The demo's client: an API key of it for each service, in files that only their owner can read."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tools import rest
from tools.system.keys import write_private
from tools.system.system import SERVICES, System

CLIENT = "demo"
"""It owns what is recorded by its keys, and by Stripe."""

FILES = {"payment_service": "api_key", "student_service": "student_api_key"}
"""In the demo's folder."""


def api_keys(system: System) -> Mapping[str, str]:
    """The keys by service. Raises `CommandFailed`, or one of `rest.NO_ANSWER`."""
    with ThreadPoolExecutor() as pool:
        keys = pool.map(lambda service: _api_key(system, service), SERVICES)
        return dict(zip(SERVICES, keys, strict=True))


def _api_key(system: System, service: str) -> str:
    """The key that the file has; a new one if the database does not have that."""
    file = system.folder / FILES[service]
    if file.exists() and _is_valid(key := file.read_text(), system.urls[service]):
        return key
    key = system.new_api_key(CLIENT, service)
    write_private(file, key)
    return key


def _is_valid(key: str, url: str) -> bool:
    """Whether the service knows it, with the scopes that the demo needs by now."""
    try:
        rest.get(f"{url}/v1/webhook-endpoints", {"Authorization": f"Bearer {key}"})
    except rest.Refused as refused:
        if refused.status not in {401, 403}:
            raise
        return False
    return True
