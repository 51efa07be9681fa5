from access.codes import new_code
from access.models import AccessCode
from celery import shared_task


@shared_task(name="issue_access_code")
def issue_access_code(order_id, email):
    AccessCode.objects.create(order_id=order_id, email=email, code=new_code(order_id))
