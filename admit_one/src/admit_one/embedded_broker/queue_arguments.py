"""The arguments of a queue, checked as RabbitMQ checks them. None is ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amqp.exceptions import PreconditionFailed

MAX_TIME = 2**32 - 1
"""Milliseconds that a message may say that it lives, as in RabbitMQ."""


def check(
    name: str,
    arguments: Mapping[str, Any],
    *,
    durable: bool = True,
    auto_delete: bool = False,
    exclusive: bool = False,
) -> None:
    """Raises `PreconditionFailed` for an argument or a property that this queue may not have."""
    for argument, value in sorted(arguments.items()):
        fault = CHECKS.get(argument, _unsupported)(value)
        if fault:
            raise _invalid(name, argument, fault)
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        raise _invalid(name, "x-dead-letter-routing-key", "there is no x-dead-letter-exchange")
    if arguments.get("x-queue-type") == "quorum":
        for fits, fault in (
            (durable, "a quorum queue is durable"),
            (not auto_delete, "a quorum queue is not auto-delete"),
            (not exclusive, "a quorum queue is not exclusive"),
        ):
            if not fits:
                raise _invalid(name, "x-queue-type", fault)
    else:
        for argument in ("x-delivery-limit", "x-dead-letter-strategy"):
            if argument in arguments:
                raise _invalid(name, argument, "only a quorum queue has it")


def _unsupported(_: Any) -> str:
    return "the embedded broker does not support it"


def _integer(least: int, most: int = 2**63 - 1) -> Callable[[Any], str]:
    def fault(value: Any) -> str:
        # On the wire a boolean is another type.
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return ""
        return f"expected an integer from {least} to {most}, got {value!r}"

    return fault


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else f"expected a text, got {value!r}"


def _one_of(*supported: str, rabbitmq: tuple[str, ...] = ()) -> Callable[[Any], str]:
    """One of the `supported`; of those that only RabbitMQ has, say so."""

    def fault(value: Any) -> str:
        if value in supported:
            return ""
        if value in rabbitmq:
            return f"the embedded broker does not support {value}"
        return f"expected one of {', '.join((*supported, *rabbitmq))}, got {value!r}"

    return fault


CHECKS: Mapping[str, Callable[[Any], str]] = {
    "x-queue-type": _one_of("classic", "quorum", rabbitmq=("stream",)),
    "x-delivery-limit": _integer(0),
    "x-dead-letter-exchange": _text,
    "x-dead-letter-routing-key": _text,
    "x-dead-letter-strategy": _one_of("at-most-once", "at-least-once"),
    "x-overflow": _one_of("drop-head", "reject-publish", rabbitmq=("reject-publish-dlx",)),
    "x-max-length": _integer(0),
    "x-message-ttl": _integer(0),
    "x-expires": _integer(1),
}
"""What is wrong with a value, by the argument; empty if nothing is."""


def _invalid(name: str, argument: str, fault: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{name}' in vhost '/': {fault}"
    )
