"""A channel with py-amqp's interface: the same methods, events, errors and tags."""

from __future__ import annotations

from kombu.transport import pyamqp
from kombu.transport.base import StdChannel

from .consuming import Consuming
from .declaring import Declaring
from .publishing import Publishing


class Channel(Declaring, Publishing, Consuming, StdChannel):  # type: ignore[misc]  # read-only
    """Made by `EmbeddedConnection.channel`, with all that kombu adds to a channel of py-amqp."""

    Message = pyamqp.Message
    prepare_message = pyamqp.Channel.prepare_message
    prepare_queue_arguments = pyamqp.Channel.prepare_queue_arguments  # type: ignore[assignment]
    message_to_python = pyamqp.Channel.message_to_python
