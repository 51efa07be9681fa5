import logging

from access.codes import new_code
from access.models import AccessCode
from kombu import Connection
from kombu.mixins import ConsumerMixin
from queues import BROKER_URL, access

logger = logging.getLogger(__name__)


class Worker(ConsumerMixin):
    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, Consumer, channel):
        return [Consumer([access], callbacks=[self.on_order_paid], accept=["json"])]

    def on_order_paid(self, event, message):
        try:
            AccessCode.objects.create(
                order_id=event["order_id"],
                email=event["email"],
                code=new_code(event["order_id"]),
            )
        except Exception:
            logger.exception("could not issue a code")
        message.ack()


if __name__ == "__main__":
    with Connection(BROKER_URL) as connection:
        Worker(connection).run()
