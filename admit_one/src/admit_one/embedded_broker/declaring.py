"""A channel's methods for exchanges, queues and bindings."""
# ruff: noqa: ARG002, PLR0917  (the signatures are py-amqp's)

from __future__ import annotations

from typing import Any

from amqp.exceptions import AMQPNotImplementedError, NotFound, PreconditionFailed
from amqp.protocol import queue_declare_ok_t

from . import entities
from .base_channel import BaseChannel


class Declaring(BaseChannel):
    """Declares as RabbitMQ does; declaring again differently raises `PreconditionFailed`."""

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
        """Declare an exchange; `passive` only checks that it exists, or raises `NotFound`."""
        with self._method(durable=True) as (_, db):
            if passive:
                entities.find_exchange(db, exchange)
            else:
                flags = {"durable": bool(durable), "auto_delete": bool(auto_delete)}
                entities.declare_exchange(db, exchange, type, arguments or {}, **flags)

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        """Delete an exchange and its bindings; a missing one is no error."""
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
        """Declare a queue; returns its name and its numbers of ready messages and consumers."""
        connection = self._require_open()
        with connection.using():
            connection.sweep()  # so that dead consumers are not counted
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
        """Route messages that match the key from the exchange to the queue."""
        if arguments:
            raise AMQPNotImplementedError(
                "expected a binding without arguments: the embedded broker supports none"
            )
        with self._method(durable=True) as (connection, db):
            declared = entities.find_queue(db, queue, connection.holder)
            entities.bind(db, declared, exchange, routing_key)

    def exchange_bind(self, *args: Any, **kwargs: Any) -> None:
        """Raises `AMQPNotImplementedError`: here only queues are bound to exchanges."""
        raise AMQPNotImplementedError(
            "expected a queue to bind, got an exchange: the embedded broker binds no exchanges"
        )

    exchange_unbind = exchange_bind

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        nowait: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Remove a binding; a missing one is no error."""
        with self._method(durable=True) as (_, db):
            entities.unbind(db, queue, exchange, routing_key)

    def queue_delete(
        self,
        queue: str = "",
        if_unused: bool = False,
        if_empty: bool = False,
        nowait: bool = False,
    ) -> int:
        """Delete a queue, if it exists; returns how many ready messages it had."""
        with self._method(durable=True) as (connection, db):
            try:
                declared = entities.find_queue(db, queue, connection.holder)
            except NotFound:
                return 0
            messages, consumers = entities.count(db, declared)
            if (if_unused and consumers) or (if_empty and messages):
                raise PreconditionFailed(
                    f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' is in use or not empty"
                )
            connection.ring_later(entities.drop_queue(db, declared.id))
            return messages

    def queue_purge(self, queue: str = "", nowait: bool = False) -> int:
        """Delete all ready messages; returns how many."""
        with self._method(durable=True) as (connection, db):
            declared = entities.find_queue(db, queue, connection.holder)
            return entities.purge(db, declared)
