from shop.app import outbox
from shop.models import Order, sessions


async def pay(order_id, email):
    async with sessions() as session, session.begin():
        session.add(Order(id=order_id, email=email))
        event = {"order_id": order_id, "email": email}
        await outbox.publish(event, queue="orders", session=session)
