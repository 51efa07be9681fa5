import json

from access.codes import new_code
from access.models import AccessCode
from django_rmq.consumer import Consumer
from queues import access

consumer = Consumer(queue=access)


def declare_dead_letters(channel):
    channel.exchange_declare(exchange="access.dead", exchange_type="direct", durable=True)
    channel.queue_declare(queue="access.dead", durable=True)
    channel.queue_bind(queue="access.dead", exchange="access.dead", routing_key="access.dead")


@consumer
def issue_access_code(channel, method, properties, body):
    event = json.loads(body)
    order_id = event["order_id"]
    AccessCode.objects.get_or_create(
        order_id=order_id, defaults={"email": event["email"], "code": new_code(order_id)}
    )
    channel.basic_ack(delivery_tag=method.delivery_tag)
