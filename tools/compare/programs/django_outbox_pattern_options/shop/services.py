from django.db import transaction
from django_outbox_pattern.models import Published
from shop.models import Order


def pay(order_id, email):
    with transaction.atomic():
        Order.objects.create(id=order_id, email=email)
        Published.objects.create(
            destination="/topic/order.paid",
            body={"order_id": order_id, "email": email},
            headers={"persistent": "true"},
        )
