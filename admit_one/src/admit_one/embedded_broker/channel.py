"""A channel with py-amqp's face: the same methods, events, errors and tags."""

from __future__ import annotations

import amqp
from kombu.transport import pyamqp
from kombu.transport.base import StdChannel

from .consuming import Consuming
from .declaring import Declaring
from .publishing import Publishing


class Channel(Declaring, Publishing, Consuming, StdChannel):  # type: ignore[misc]  # read-only
    """Made by `Connection.channel`. Messages are given in kombu's class for py-amqp's."""

    Message = pyamqp.Message

    def message_to_python(self, raw_message: amqp.Message) -> pyamqp.Message:
        """The message for those who use kombu's consumers."""
        return self.Message(raw_message, channel=self)
