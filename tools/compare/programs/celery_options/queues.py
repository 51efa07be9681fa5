from kombu import Exchange, Queue

DEAD = Queue("access.dead")
ACCESS = Queue(
    "access",
    Exchange("access"),
    routing_key="access",
    queue_arguments={
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "access.dead",
    },
)
