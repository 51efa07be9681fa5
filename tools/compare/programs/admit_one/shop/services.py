from admit_one.contract import Envelope
from admit_one.messaging import outbox
from django.db import transaction
from orders_contract.topology import OrderPaid
from shop.models import Order


@transaction.atomic
def pay(order_id, email):
    Order.objects.create(id=order_id, email=email)
    outbox.publish(Envelope.of(OrderPaid(order_id=order_id, email=email)))
