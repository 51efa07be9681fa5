"""A private cluster of three RabbitMQ nodes, each of which can be killed and started again."""

from __future__ import annotations

import json
from contextlib import ExitStack

from tools.system.ports import free_port
from tools.system.process import NotReady

from .found import NotHere
from .rabbitmq_node import NameServer, Node, node_name

SIZE = 3

START_SECONDS = 120.0
"""For all nodes at once, on a machine that does other work."""


class Cluster:
    """Nodes that find each other when they start. Raises `NotHere` if one does not start."""

    def __init__(self, stack: ExitStack) -> None:
        ports = [free_port() for _ in range(SIZE)]
        settings = ["cluster_formation.peer_discovery_backend = classic_config"]
        settings += [
            f"cluster_formation.classic_config.nodes.{number} = {node_name(port)}"
            for number, port in enumerate(ports, 1)
        ]
        names = NameServer(stack)
        self.nodes = [
            Node(stack, settings="\n".join([*settings, ""]), names=names, port=port, wait=False)
            for port in ports
        ]
        try:
            # One listens as soon as it has joined the others.
            for node in self.nodes:
                node.wait_ready(START_SECONDS)
        except NotReady as error:
            raise NotHere(str(error)) from None

    @property
    def url(self) -> str:
        """All nodes, as our services are given them."""
        return ";".join(node.url for node in self.nodes)

    def leader(self, queue: str) -> Node:
        """The node that the leader of a quorum queue is on. Raises `CtlFailed`, `LookupError`."""
        living = next(node for node in self.nodes if node.is_up)
        listed = living.ctl("list_queues", "--formatter", "json", "name", "leader")
        leaders = {row["name"]: row["leader"] for row in json.loads(listed)}
        [leader] = (node for node in self.nodes if node.name == leaders[queue])
        return leader
