"""Exchanges and queues: the first chapter of a channel's methods."""
# ruff: noqa: ARG002, PLR0917  (the signatures are py-amqp's)

from __future__ import annotations

from typing import Any

from amqp.exceptions import PreconditionFailed
from amqp.protocol import queue_declare_ok_t
from kombu.transport.base import to_rabbitmq_queue_arguments  # type: ignore[attr-defined]

from . import entities
from .plumbing import Plumbing


class Declaring(Plumbing):
    """Declares as RabbitMQ does: equally again is fine, otherwise is PreconditionFailed."""

    def exchange_declare(
        self,
        exchange: str,
        type: str,  # noqa: A002  (py-amqp's name)
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Declare an exchange; `passive` only asks whether it is there (NotFound)."""
        with self._method(durable=True) as (_, db):
            if passive:
                entities.find_exchange(db, exchange)
            else:
                flags = {"durable": bool(durable), "auto_delete": bool(auto_delete)}
                entities.declare_exchange(db, exchange, type, arguments or {}, **flags)

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        """Delete an exchange and its bindings; one that is not there is no error."""
        with self._method(durable=True) as (_, db):
            entities.delete_exchange(db, exchange, if_unused=if_unused)

    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> queue_declare_ok_t:
        """Declare a queue: its name, and how many ready messages and consumers it has."""
        connection = self._require_open()
        with connection.using():
            connection.sweep()  # the dead are no consumers
            with self._method(durable=not passive) as (_, db):
                if passive:
                    declared = entities.find_queue(db, queue, connection.holder)
                else:
                    declared = entities.declare_queue(
                        db,
                        queue,
                        arguments or {},
                        durable=bool(durable),
                        auto_delete=bool(auto_delete),
                        owner=connection.holder if exclusive else None,
                        holder=connection.holder,
                    )
                entities.mark_used(db, declared.id)
                return queue_declare_ok_t(declared.name, *entities.count(db, declared))

    def queue_bind(
        self,
        queue: str,
        exchange: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Send what matches the key from the exchange to the queue."""
        with self._method(durable=True) as (connection, db):
            declared = entities.find_queue(db, queue, connection.holder)
            entities.bind(db, declared, exchange, routing_key)

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Take a binding back; one that is not there is no error."""
        with self._method(durable=True) as (_, db):
            entities.unbind(db, queue, exchange, routing_key)

    def queue_delete(
        self,
        queue: str = "",
        if_unused: bool = False,
        if_empty: bool = False,
        nowait: bool = False,
    ) -> int:
        """Delete a queue; how many ready messages went with it. None to delete is no error."""
        with self._method(durable=True) as (connection, db):
            if not entities.exists(db, queue):
                return 0
            declared = entities.find_queue(db, queue, connection.holder)
            messages, consumers = entities.count(db, declared)
            if (if_unused and consumers) or (if_empty and messages):
                raise PreconditionFailed(
                    f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' is in use or not empty"
                )
            connection.ring_later(entities.drop_queue(db, declared.id))
            return messages

    def queue_purge(self, queue: str = "", nowait: bool = False) -> int:
        """Drop all ready messages; how many."""
        with self._method(durable=True) as (connection, db):
            declared = entities.find_queue(db, queue, connection.holder)
            return entities.purge(db, declared)

    def prepare_queue_arguments(
        self, arguments: dict[str, Any] | None, **options: Any
    ) -> dict[str, Any]:
        """Kombu's names for queue arguments as RabbitMQ's."""
        prepared: dict[str, Any] = to_rabbitmq_queue_arguments(arguments or {}, **options)
        return prepared
