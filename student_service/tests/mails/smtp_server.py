"""A real SMTP server that misbehaves on request."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Mailbox:
    """What the server has received, and how it should answer."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    connections: int = 0
    answer_mail_from: str = ""
    answer_rcpt: dict[str, str] = field(default_factory=dict)
    answer_data: str = ""
    drop_after_data: bool = False
    drop_at_rcpt: bool = False
    stall_at_data: bool = False
    pause_at_data: float = 0.0
    slow: dict[str, float] = field(default_factory=dict)
    """Seconds before the answer to a mail, by its recipient."""
    data_begun: bool = False
    in_hand: int = 0
    most_in_hand: int = 0
    mails_per_connection: int = 1_000_000
    most_connections: int = 1_000
    """More at a time are turned away."""
    open_connections: int = 0
    most_mails: int = 1_000
    """More at a time are refused at the final dot."""

    async def handle_EHLO(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        session.taken = 0  # type: ignore[attr-defined]
        self.connections += 1
        self.open_connections += 1
        if self.open_connections > self.most_connections:
            return ["421 too many connections"]
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if session.taken >= self.mails_per_connection:
            return "421 enough for one connection"
        if self.answer_mail_from:
            return self.answer_mail_from
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.drop_at_rcpt:
            hang_up(server)
        if address in self.answer_rcpt:
            return self.answer_rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Any, envelope: Envelope
    ) -> str:
        self.data_begun = True
        self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        await asyncio.sleep(self.slow.get(envelope.rcpt_tos[0], self.pause_at_data))
        is_full = self.in_hand > self.most_mails
        self.in_hand -= 1
        if is_full:
            return "432 4.3.2 Concurrent connections limit exceeded"
        if self.stall_at_data:
            await asyncio.sleep(3600)
        if self.answer_data:
            return self.answer_data
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        self.recipients.extend(envelope.rcpt_tos)
        if self.drop_after_data:
            hang_up(server)
        session.taken += 1
        return "250 taken"


def hang_up(server: SMTP) -> None:
    assert server.transport is not None
    server.transport.close()


@contextmanager
def running(**options: Any) -> Iterator[Mailbox]:
    """A server on a free port. `options` are those of aiosmtpd."""
    mailbox = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mailbox.port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, **options)
    controller.start()
    mailbox.connections = 0  # the controller has connected to check that it answers
    try:
        yield mailbox
    finally:
        controller.stop()
