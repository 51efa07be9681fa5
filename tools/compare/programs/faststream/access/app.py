import os

from access.codes import new_code
from access.models import AccessCode, sessions
from faststream import FastStream
from faststream.rabbit import RabbitBroker

rabbit = RabbitBroker(os.environ["BROKER_URL"])
app = FastStream(rabbit)


@rabbit.subscriber("access")
async def issue_access_code(order_id: int, email: str) -> None:
    async with sessions() as session, session.begin():
        session.add(AccessCode(order_id=order_id, email=email, code=new_code(order_id)))
