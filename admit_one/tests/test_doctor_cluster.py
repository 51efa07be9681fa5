"""What `broker_doctor` reports about a cluster: what the management plugin says of it."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from admit_one.messaging import conf
from admit_one.messaging.broker import cluster
from admit_one.messaging.broker.doctor import Condition

from tests.processes import broker_url
from tools.system.ports import free_port

NODES = ["rabbit@a", "rabbit@b", "rabbit@c"]
QUEUE = "billing.inbox"
PASSWORD = "s3cret-of-the-doctor"


@pytest.fixture
def plugin(messaging):
    """A management plugin with our answers: `plugin[path] = answer`."""
    answers: dict[str, object] = {"/api/nodes": [{"name": n, "running": True} for n in NODES]}
    login = base64.b64encode(f"doctor:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = self.headers["Authorization"] == f"Basic {login}"
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(401 if not allowed else 200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        messaging(BROKER_MANAGEMENT_URL=f"http://doctor:{PASSWORD}@127.0.0.1:{port}")
        yield answers
        server.shutdown()


def a_queue(members=NODES, online=NODES, kind="quorum"):
    return {"name": QUEUE, "type": kind, "members": members, "online": online}


def said(virtual_host="/"):
    return {
        finding.what: (finding.condition, finding.result, finding.fix)
        for finding in cluster.examine([(virtual_host, QUEUE)])
    }


def test_a_whole_cluster_passes(plugin):
    plugin[f"/api/queues/%2F/{QUEUE}"] = a_queue()

    assert {what: verdict[:2] for what, verdict in said().items()} == {
        "cluster": (Condition.FINE, "3 nodes"),
        f"queue {QUEUE}": (Condition.FINE, "3 of 3 members online"),
    }


def test_a_queue_that_is_older_than_the_cluster_is_to_grow(plugin):
    plugin[f"/api/queues/tasks/{QUEUE}"] = a_queue(NODES[:1], NODES[:1])

    assert said("tasks")[f"queue {QUEUE}"] == (
        Condition.WRONG,
        "1 of 1 members online, and the cluster has 3 nodes",
        "`rabbitmq-queues grow rabbit@b all ; rabbitmq-queues grow rabbit@c all`",
    )


@pytest.mark.parametrize(
    ("online", "expected"),
    [
        (NODES[:2], "2 of 3 members online, away: rabbit@c"),
        (
            NODES[:1],
            "1 of 3 members online: without a majority it takes and delivers nothing, "
            "away: rabbit@b, rabbit@c",
        ),
    ],
)
def test_members_that_are_away_are_named(plugin, online, expected):
    plugin[f"/api/queues/%2F/{QUEUE}"] = a_queue(online=online)

    assert said()[f"queue {QUEUE}"][:2] == (Condition.WRONG, expected)


def test_a_node_that_is_away_and_alarms_are_reported(plugin):
    plugin["/api/nodes"] = [
        {"name": "rabbit@a", "running": True, "mem_alarm": True, "disk_free_alarm": True},
        {"name": "rabbit@b", "running": True, "partitions": ["rabbit@a"]},
        {"name": "rabbit@c", "running": False},
    ]
    verdicts = {what: verdict[:2] for what, verdict in said().items()}

    assert verdicts == {
        "cluster": (Condition.WRONG, "3 nodes, of which these are away: rabbit@c"),
        "node rabbit@a": (Condition.WRONG, "memory alarm; disk alarm"),
        "node rabbit@b": (Condition.WRONG, "cut off from rabbit@a"),
    }


def test_two_nodes_need_no_third_member(plugin):
    plugin["/api/nodes"] = plugin["/api/nodes"][:2]
    plugin[f"/api/queues/%2F/{QUEUE}"] = a_queue(NODES[:2], NODES[:2])

    assert said()[f"queue {QUEUE}"][0] is Condition.FINE


@pytest.mark.parametrize("url", ["http://doctor:{}x@127.0.0.1:{}", "http://doctor:{}@127.0.0.1:1"])
def test_a_plugin_that_does_not_tell_is_no_fault_and_shows_no_password(plugin, messaging, url):
    port = conf.current().BROKER_MANAGEMENT_URL.rpartition(":")[2]
    messaging(BROKER_MANAGEMENT_URL=url.format(PASSWORD, port))
    [(condition, result, _)] = said().values()

    assert condition is Condition.UNSEEN
    assert result.startswith("the management plugin does not tell: ")
    assert PASSWORD not in result


def test_without_a_url_it_says_what_is_not_seen(messaging):
    [(condition, _, fix)] = said().values()

    assert condition is Condition.UNSEEN
    assert "BROKER_MANAGEMENT_URL" in fix


def test_each_node_of_the_list_is_tried(messaging, broker_gate):
    dead = free_port()
    messaging(BROKER_URL=f"{broker_url(dead)};{broker_url(broker_gate.port)}")
    verdicts = {finding.what: finding.condition for finding in cluster.listed_nodes()}

    assert verdicts == {
        f"node 127.0.0.1:{dead}": Condition.WRONG,
        f"node 127.0.0.1:{broker_gate.port}": Condition.FINE,
    }
