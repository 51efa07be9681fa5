import os

from kombu import Exchange, Queue

BROKER_URL = os.environ["BROKER_URL"]
orders = Exchange("orders", "direct", durable=True)
access = Queue("access", orders, routing_key="order.paid")
