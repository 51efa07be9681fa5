"""The pages' own process answers health checks like every other one."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize("host", ["10.42.8.201:8000", "evil.example", "[::1]:8000", "a,b"])
def test_any_host_may_check_the_health_and_see_nothing_else(client, db, path, host):
    checked = [client.generic(method, path, headers={"Host": host}) for method in ("GET", "HEAD")]

    assert [answer.status_code for answer in checked] == [200, 200]
    assert client.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_with_those_that_are_allowed(client, method):
    refused = client.generic(method, "/health/live")
    options = client.options("/health/live")

    assert (refused.status_code, options.status_code) == (405, 204)
    assert refused["Allow"] == options["Allow"] == "GET, HEAD, OPTIONS"
