import json

from django.db import transaction
from django_rmq.producer import Producer
from queues import access
from shop.models import Order

producer = Producer(queue=access)


def pay(order_id, email):
    with transaction.atomic():
        Order.objects.create(id=order_id, email=email)
        event = json.dumps({"order_id": order_id, "email": email})
        transaction.on_commit(lambda: producer.publish(body=event))
