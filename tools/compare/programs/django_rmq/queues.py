from django_rmq.queues.queue_config import QueueConfig

access = QueueConfig(
    name="access",
    dead_letter_exchange="access.dead",
    dead_letter_routing_key="access.dead",
)
