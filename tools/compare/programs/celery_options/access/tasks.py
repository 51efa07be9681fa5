from access.codes import new_code
from access.models import AccessCode
from celery import shared_task


@shared_task(
    name="issue_access_code",
    autoretry_for=(Exception,),
    retry_backoff=1,
    retry_jitter=False,
    max_retries=2,
)
def issue_access_code(order_id, email):
    AccessCode.objects.get_or_create(
        order_id=order_id, defaults={"email": email, "code": new_code(order_id)}
    )
