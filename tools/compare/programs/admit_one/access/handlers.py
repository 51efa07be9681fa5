from access.codes import new_code
from access.models import AccessCode


def issue_access_codes(messages):
    AccessCode.objects.bulk_create(
        AccessCode(
            order_id=message.data.order_id,
            email=message.data.email,
            code=new_code(message.data.order_id),
        )
        for message in messages
    )
