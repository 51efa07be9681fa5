"""To which addresses requests may go: those of the internet, and those that a setting lists.

The special-purpose registries of IANA (RFC 6890) say which are not of the internet. They are
listed here, because what Python calls global differs from one of its versions to the next.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

NOT_PUBLIC = [
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host, on this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared between a provider and its subscribers
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds any address of IPv4
        "2620:4f:8000::/48",
        "3fff::/20",
        "5f00::/16",
    )
]
PUBLIC_IPV6 = IPv6Network("2000::/3")
"""All else is loopback, private, link-local, multicast, or holds an address of IPv4: mapped
(::ffff:0:0/96) and translated ones (64:ff9b::/96, 64:ff9b:1::/48), too."""


def is_permitted(address: Address, listed: Collection[Network]) -> bool:
    """Whether requests may go there."""
    if any(address in network for network in listed):
        return True
    if isinstance(address, IPv6Address) and address not in PUBLIC_IPV6:
        return False
    return not any(address in network for network in NOT_PUBLIC)
