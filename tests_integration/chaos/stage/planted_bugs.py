"""Bugs that a release might have. Planted one at a time, they prove that the checker sees them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

Change = Callable[[ModuleType], None]
"""Changes a module that was just loaded."""


class Acked:
    """A channel on which everything is acked already."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def basic_ack(self, *_: Any, **__: Any) -> None:
        """Nothing left to say."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def ack_before_commit(module: ModuleType) -> None:
    """The consumer acks what it has, and then handles it."""
    consumer: Any = module.BatchConsumer
    flush = consumer.flush

    def flush_acked(self: Any) -> None:
        if self._arrived:
            self._channel.basic_ack(self._arrived[-1].delivery_tag, multiple=True)
        channel, self._channel = self._channel, Acked(self._channel)
        try:
            flush(self)
        finally:
            self._channel = channel

    consumer.flush = flush_acked


def mark_before_confirm(module: ModuleType) -> None:
    """The relay takes what it has written to its socket for published."""

    def publish(self: Any, batch: Any, timeout: float) -> Any:
        with self._at_once():
            for message in batch:
                self._send(message)
        self._waiting.clear()
        return module.Report(confirmed={message.key for message in batch})

    publisher: Any = module.Publisher
    publisher.publish = publish


def no_inbox(module: ModuleType) -> None:
    """Every message is new."""
    remember = module._remember

    def remember_nothing(messages: Any) -> set[tuple[str, str]]:
        messages = list(messages)
        remember(messages)
        return {message.identity for message in messages}

    module.__dict__["_remember"] = remember_nothing


BUGS: dict[str, tuple[str, Change]] = {
    "ack-before-commit": ("admit_one.messaging.incoming.consumer", ack_before_commit),
    "mark-before-confirm": ("admit_one.messaging.outgoing.publisher", mark_before_confirm),
    "no-inbox": ("admit_one.messaging.inbox", no_inbox),
}
