from admit_one.contract import Event, Service, Topology


class OrderPaid(Event):
    type = "order_paid"
    producer = "shop"
    about = "order_id"

    order_id: int
    email: str


TOPOLOGY = Topology(Service("shop"), Service("access", handles=(OrderPaid,)))
