"""Which URLs a client may name, and to which addresses a request may go."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from admit_one.webhooks import networks, urls

HIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_an_address_that_is_not_of_the_internet_is_refused(text: str) -> None:
    assert not networks.is_permitted(ip_address(text), [])


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_an_address_of_the_internet_is_permitted(text: str) -> None:
    assert networks.is_permitted(ip_address(text), [])


def test_a_listed_network_is_permitted_and_no_other() -> None:
    listed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]

    assert networks.is_permitted(ip_address("10.1.2.3"), listed)
    assert networks.is_permitted(ip_address("fd00::1"), listed)
    assert not networks.is_permitted(ip_address("10.2.2.3"), listed)
    assert not networks.is_permitted(ip_address("::ffff:10.1.2.3"), listed)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com/",
        "https://shop.example.com:8443/hooks?key=a%20b",
        "https://shop.example.com?key=1",
        "https://1.1.1.1/hooks",
        "https://[2606:4700::1111]:8443/hooks",
        "http://shop.example.com/",  # in development
    ],
)
def test_a_url_of_the_internet_may_be_named(url: str) -> None:
    urls.check(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:password@shop.example/", "without user"),
        ("https://shop.example/#part", "fragment"),
        ("https://shop.example\\@10.0.0.1/", "backslash"),
        ("https://shop.example /", "visible ASCII"),
        ("https://shop.example/\r\nX-Header: 1", "visible ASCII"),
        ("https://shöp.example/", "visible ASCII"),
        ("https://", "https://HOST"),
        ("https:///hooks", "https://HOST"),
        ("//shop.example/", "https://HOST"),
        ("ftp://shop.example/", "https://HOST"),
        ("HTTPS://shop.example/", "https://HOST"),
        ("https://shop..example/", "https://HOST"),
        ("https://[fe80::1%25eth0]/", "https://HOST"),
        ("https://shop.example:25/", "the port 443"),
        ("https://shop.example:65536/", "the port 443"),
        ("https://shop.example:0/", "the port 443"),
        ("https://[:::]/", "an IPv6 address"),
        ("https://10.0.0.1/", "an address of the internet"),
        ("https://[::ffff:10.0.0.1]/", "an address of the internet"),
        ("https://169.254.169.254/latest", "an address of the internet"),
        (f"https://shop.example/{'a' * 2_000}", "https://HOST"),
    ],
)
def test_another_url_is_refused_with_what_was_expected(url: str, expected: str) -> None:
    with pytest.raises(urls.NotAllowed, match=expected.replace("(", "\\(")):
        urls.check(url)


def test_without_development_only_https_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")

    with pytest.raises(urls.NotAllowed, match="expected https://"):
        urls.check("http://shop.example/")
