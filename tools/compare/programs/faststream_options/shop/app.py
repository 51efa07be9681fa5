import os

from faststream import FastStream
from faststream.rabbit import RabbitBroker
from faststream_outbox import OutboxBroker, make_outbox_table
from shop.models import Base, engine

outbox_table = make_outbox_table(Base.metadata, table_name="outbox")
outbox = OutboxBroker(engine, outbox_table=outbox_table)
rabbit = RabbitBroker(os.environ["BROKER_URL"])
to_access = rabbit.publisher("access", persist=True)


@to_access
@outbox.subscriber("orders", max_fetch_interval=2, lease_ttl_seconds=5)
async def relay(event: dict) -> dict:
    return event


app = FastStream(outbox, on_startup=[rabbit.connect])
