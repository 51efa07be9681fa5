from access.codes import new_code
from access.models import AccessCode
from django.db import transaction


def issue_access_code(payload):
    order_id = payload.body["order_id"]
    with transaction.atomic():
        AccessCode.objects.create(
            order_id=order_id, email=payload.body["email"], code=new_code(order_id)
        )
        payload.save()
