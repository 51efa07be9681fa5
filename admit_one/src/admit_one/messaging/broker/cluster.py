"""What `broker_doctor` reports about a cluster: its nodes, their alarms, and members of queues.

AMQP shows none of it, except whether each node of the list in BROKER_URL accepts us. The rest is
asked of the management plugin, if BROKER_MANAGEMENT_URL says where it is; it only reads.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from admit_one.environment import urls
from admit_one.masking import mask
from admit_one.messaging import conf

from . import connection as broker
from .doctor import Condition, Finding

MEMBERS = 3
"""Members of a quorum queue that survive the loss of one node."""

TIMEOUT = 5.0
"""Seconds for each answer of the management plugin."""

TROUBLE = (OSError, http.client.HTTPException, ValueError)


def listed_nodes() -> Iterator[Finding]:
    """Whether each node of a list in BROKER_URL accepts us."""
    nodes = conf.current().nodes
    for node in nodes if len(nodes) > 1 else ():
        what = f"node {node.hosts[0]}"
        try:
            with broker.connected("broker_doctor", [node]):
                yield Finding(Condition.FINE, what, "it answers")
        except broker.BROKER_ERRORS as error:
            yield Finding(
                Condition.WRONG,
                what,
                broker.in_words(error),
                "start it, or take it out of BROKER_URL; meanwhile the processes use the others",
            )


def examine(queues: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Nodes, alarms, and members of the quorum queues of ours, given as (virtual host, name)."""
    url = conf.current().BROKER_MANAGEMENT_URL
    if not queues:  # no RabbitMQ
        return
    if not url:
        yield Finding(
            Condition.UNSEEN,
            "cluster",
            "AMQP shows no other nodes, no alarms and no members of queues",
            "set BROKER_MANAGEMENT_URL, or run `rabbitmq-diagnostics cluster_status` and "
            "`rabbitmq-queues quorum_status QUEUE`",
        )
        return
    try:
        plugin = Plugin(urls.read(url, "http(s)://…"))
        nodes = plugin.get("/api/nodes")
        yield from _nodes(nodes)
        for virtual_host, name in queues:
            queue = plugin.get(f"/api/queues/{quote(virtual_host, safe='')}/{quote(name, safe='')}")
            if queue.get("type") == "quorum":
                yield _members(queue, [node["name"] for node in nodes])
    except TROUBLE as error:
        yield Finding(
            Condition.UNSEEN,
            "cluster",
            f"the management plugin does not tell: {mask(str(error)) or type(error).__name__}",
            "look at BROKER_MANAGEMENT_URL; its user needs the tag `monitoring`",
        )


class Plugin:
    """RabbitMQ's management plugin."""

    def __init__(self, url: urls.Url) -> None:
        [host] = url.hosts
        self._connection: http.client.HTTPConnection
        if url.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(
                host.name, host.port or 443, timeout=TIMEOUT, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(
                host.name, host.port or 80, timeout=TIMEOUT
            )
        login = base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._folder = f"/{url.path}".rstrip("/")

    def get(self, path: str) -> Any:
        """The answer to a question; an empty one if there is no such thing. Raises `TROUBLE`."""
        self._connection.request("GET", self._folder + path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return {}
        if answer.status != http.HTTPStatus.OK:
            raise ValueError(f"it answers {answer.status} {answer.reason}")
        return json.loads(body)


def _nodes(nodes: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    away = [node["name"] for node in nodes if not node.get("running")]
    yield Finding(
        Condition.WRONG if away else Condition.FINE,
        "cluster",
        f"{len(nodes)} nodes" + (f", of which these are away: {', '.join(away)}" if away else ""),
        "start them; one that will not come back: `rabbitmqctl forget_cluster_node`",
    )
    for node in nodes:
        alarms = [
            f"{what} alarm"
            for what, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm"))
            if node.get(key)
        ]
        if node.get("partitions"):
            alarms.append(f"cut off from {', '.join(node['partitions'])}")
        if alarms:
            yield Finding(
                Condition.WRONG,
                f"node {node['name']}",
                "; ".join(alarms),
                "after an alarm no node takes messages: free memory or disk, or restart the "
                "smaller part of a cluster that was cut",
            )


def _members(queue: dict[str, Any], nodes: Sequence[str]) -> Finding:
    members, online = queue.get("members", []), queue.get("online", [])
    away = sorted(set(members) - set(online))
    without = sorted(set(nodes) - set(members))
    result = f"{len(online)} of {len(members)} members online"
    wanted = min(MEMBERS, len(nodes))
    if len(members) < wanted:
        grow = " ; ".join(f"rabbitmq-queues grow {node} all" for node in without)
        result += f", and the cluster has {len(nodes)} nodes"
        return Finding(Condition.WRONG, f"queue {queue['name']}", result, f"`{grow}`")
    if 2 * len(online) <= len(members):
        result += ": without a majority it takes and delivers nothing"
    return Finding(
        Condition.WRONG if away else Condition.FINE,
        f"queue {queue['name']}",
        result + (f", away: {', '.join(away)}" if away else ""),
        "start these nodes",
    )
