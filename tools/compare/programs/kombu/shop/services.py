from django.db import transaction
from kombu import Connection
from kombu.pools import producers
from queues import BROKER_URL, access, orders
from shop.models import Order

connection = Connection(BROKER_URL)


def pay(order_id, email):
    with transaction.atomic():
        Order.objects.create(id=order_id, email=email)
        transaction.on_commit(lambda: publish({"order_id": order_id, "email": email}))


def publish(event):
    with producers[connection].acquire(block=True) as producer:
        producer.publish(
            event,
            exchange=orders,
            routing_key="order.paid",
            declare=[access],
            retry=True,
            retry_policy={"max_retries": 3},
        )
