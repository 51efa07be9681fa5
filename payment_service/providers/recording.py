"""Records the subscription that a provider reports as paid, if the report has all that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from subscriptions.services import record_subscription

from .commands import Record
from .models import ProviderStanding
from .provider import Provider

NEEDED = ("user_id", "email", "plan")


class Incomplete(Exception):
    """Something is missing, which the message names."""


class Invalid(Exception):
    """Something cannot be, as the message says."""


def record(provider: Provider, command: Record, *, test: bool) -> UUID:
    """Record it for the provider's client, who finds it by `reference`; returns its id.

    What is reported is signed, but others have typed it: it is checked like a request to the API.
    Raises `Incomplete` and `Invalid`.
    """
    given = {name: getattr(command, name) for name in (*NEEDED, "amount", "currency")}
    if missing := [name for name in NEEDED if given[name] in (None, "")]:
        raise Incomplete(f"it lacks {', '.join(missing)}; expected {command.lacks}")
    new = _checked({**given, "reference": command.subject})
    with transaction.atomic():
        subscription = record_subscription(client=provider.client(), test=test, **new)
    ProviderStanding.objects.create(subscription_id=subscription.pk, provider=provider.name)
    return subscription.pk


def _checked(given: dict[str, object]) -> dict[str, Any]:
    # Imported here: it takes Django REST framework, which relay and consumer do without.
    from rest_framework.exceptions import ValidationError  # noqa: PLC0415
    from subscriptions.serializers import new_subscription  # noqa: PLC0415

    try:
        return dict(new_subscription.run_validation(given))
    except ValidationError as error:
        raise Invalid("; ".join(_faults(cast("Any", error.detail)))) from None


def _faults(faults: Mapping[str, Sequence[object]]) -> Iterator[str]:
    for name, details in faults.items():
        yield f"{name}: {details[0]}"
