"""The JSON client: what it sends, and what it returns for each response."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tools import rest
from tools.system.ports import LOCAL, free_port


class Echo(BaseHTTPRequestHandler):
    """Echoes each request, with the status and media type of its path /STATUS/SUBTYPE."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, status, subtype = self.path.partition("?")[0].split("/")
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        request = {"path": self.path, "body": sent, "kind": self.headers["Content-Type"]}
        body = b"" if status == "204" else json.dumps(request).encode()
        self.send_response(int(status))
        self.send_header("Content-Type", f"application/{subtype}")
        self.send_header("X-Port", str(self.client_address[1]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer((LOCAL, 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{LOCAL}:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_body_is_sent_as_json_and_a_query_is_kept(url: str) -> None:
    sent = rest.post(f"{url}/200/json?to=a%40b", {"plan": "gold"})

    assert sent == {
        "path": "/200/json?to=a%40b",
        "body": '{"plan": "gold"}',
        "kind": "application/json",
    }


def test_a_get_sends_neither_a_body_nor_its_type(url: str) -> None:
    assert rest.get(f"{url}/200/json") == {"path": "/200/json", "body": "", "kind": None}


@pytest.mark.parametrize(
    ("path", "kind"), [("/503/problem+json", dict), ("/502/plain", str), ("/204/json", type(None))]
)
def test_an_answer_of_any_status_and_type_is_returned(url: str, path: str, kind: type) -> None:
    answer = rest.call("GET", url + path)

    assert answer.status == int(path[1:4])
    assert isinstance(answer.body, kind)


def test_an_error_is_raised_with_its_status_and_body(url: str) -> None:
    with pytest.raises(rest.Refused, match=r"GET .*/409/json answered 409: \{'path'") as refused:
        rest.get(f"{url}/409/json")

    assert refused.value.status == 409


def test_a_client_keeps_its_connection(url: str) -> None:
    with closing(rest.Client(url, {"Authorization": "Bearer key"})) as client:
        ports = {client.call("POST", "/202/json", {}).headers["X-Port"] for _ in range(3)}

    assert len(ports) == 1


def test_a_server_that_is_down_raises_no_answer() -> None:
    with pytest.raises(rest.NO_ANSWER):
        rest.call("GET", f"http://{LOCAL}:{free_port()}/")
