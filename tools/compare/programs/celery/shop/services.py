from django.db import transaction
from shop.celery import app
from shop.models import Order


def pay(order_id, email):
    with transaction.atomic():
        Order.objects.create(id=order_id, email=email)
        transaction.on_commit(
            lambda: app.send_task("issue_access_code", [order_id, email], queue="access")
        )
