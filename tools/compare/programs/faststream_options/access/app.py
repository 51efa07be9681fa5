import os

from access.codes import new_code
from access.models import AccessCode, sessions
from faststream import FastStream
from faststream.rabbit import RabbitBroker, RabbitQueue
from sqlalchemy.dialects.postgresql import insert

rabbit = RabbitBroker(os.environ["BROKER_URL"])
access = RabbitQueue(
    "access",
    arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "access.dead"},
)
app = FastStream(rabbit)


@app.after_startup
async def declare_dead_letters():
    await rabbit.declare_queue(RabbitQueue("access.dead"))


@rabbit.subscriber(access)
async def issue_access_code(order_id: int, email: str) -> None:
    code = insert(AccessCode).values(order_id=order_id, email=email, code=new_code(order_id))
    async with sessions() as session, session.begin():
        await session.execute(code.on_conflict_do_nothing(index_elements=["order_id"]))
