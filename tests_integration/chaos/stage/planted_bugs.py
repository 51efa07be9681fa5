"""Bugs that a release might have, to prove that the checker finds them.

Each replaces only functions that `patched` lists.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .patched import COUNT_USE, ERASE, HANDLE, OUTCOME, PUBLISH, REMEMBER, VERIFY

Change = Callable[[ModuleType], None]
"""Changes a module that was just imported."""


def ack_before_commit(module: ModuleType) -> None:
    """The consumer acks a batch before it handles it."""
    consumer: Any = module.BatchConsumer
    handle, ack = consumer.handle, consumer.ack

    def handle_acked(self: Any, batch: Any) -> None:
        ack(self, batch)
        handle(self, batch)

    consumer.handle = handle_acked
    consumer.ack = lambda self, batch: None


def mark_before_confirm(module: ModuleType) -> None:
    """The relay treats messages as confirmed as soon as they are sent."""

    def publish(self: Any, batch: Any, timeout: float) -> Any:
        self.send(batch)
        return module.BrokerAnswers(confirmed={message.key for message in batch})

    publisher: Any = module.Publisher
    publisher.publish = publish


def no_inbox(module: ModuleType) -> None:
    """The inbox treats every message as new."""
    remember = module.remember

    def remember_nothing(messages: Any) -> dict[tuple[str, str], bool]:
        messages = list(messages)
        remember(messages)
        return dict.fromkeys((message.identity for message in messages), False)

    module.__dict__["remember"] = remember_nothing


def count_each_request(module: ModuleType) -> None:
    """A redemption that is repeated counts once more."""
    count = module.count
    module.__dict__["count"] = lambda row, client, _, moment: count(row, client, None, moment)


def take_any_answer(module: ModuleType) -> None:
    """A webhook counts as delivered, whatever its receiver answers."""
    module.__dict__["outcome"] = lambda status, _: module.Outcome(status)


def take_any_event(module: ModuleType) -> None:
    """What others forge counts as Stripe's."""
    module.Stripe.verify = lambda *_: None


def erase_nothing(module: ModuleType) -> None:
    """The student side reports that it has erased a person, and has not."""
    module.__dict__["erase"] = lambda _: None


BUGS: dict[str, tuple[str, Change]] = {
    "ack-before-commit": (HANDLE.module, ack_before_commit),
    "mark-before-confirm": (PUBLISH.module, mark_before_confirm),
    "count-each-request": (COUNT_USE.module, count_each_request),
    "erase-nothing": (ERASE.module, erase_nothing),
    "no-inbox": (REMEMBER.module, no_inbox),
    "take-any-answer": (OUTCOME.module, take_any_answer),
    "take-any-event": (VERIFY.module, take_any_event),
}
