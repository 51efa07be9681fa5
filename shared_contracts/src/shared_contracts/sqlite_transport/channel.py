"""A channel with py-amqp's face: the same methods, events, errors and tags."""

from __future__ import annotations

import amqp
from kombu.transport.base import StdChannel
from kombu.transport.pyamqp import Message

from .consuming import Consuming
from .declaring import Declaring
from .publishing import Publishing


class Channel(Declaring, Publishing, Consuming, StdChannel):
    """Made by `Connection.channel`."""

    Message = Message

    def message_to_python(self, raw_message: amqp.Message) -> Message:
        """The message as kombu's class for messages of py-amqp."""
        return self.Message(raw_message, channel=self)
