import os
from urllib.parse import urlsplit

broker = urlsplit(os.environ["BROKER_URL"])
RABBITMQ_CONNECTIONS = {
    "default": {
        "HOST": broker.hostname,
        "PORT": broker.port,
        "VIRTUAL_HOST": "/",
        "USER": broker.username,
        "PASSWORD": broker.password,
        "HEARTBEAT": 600,
        "BLOCKED_CONNECTION_TIMEOUT": 300,
        "RECONNECT_INITIAL_BACKOFF": 1.0,
        "RECONNECT_MAX_BACKOFF": 30.0,
    },
}
