"""The machines with nothing on them: together they show once each what other people have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BASE = ("ca-certificates", "git", "make", "python3")
"""What the README asks for, and git to get it with; Python's venv is a package of its own."""

VENV = "python3-venv"
DEMO = "make demo ONCE=1"
SMOKE = "make test ARGS=\"-k 'test_subscription_journey or test_servers or test_ports'\""
STEPS = (DEMO, "make check", SMOKE)

PROXY = "http://127.0.0.1:8888"
TAKEN = "1025 4369 5432 5672 6379 8000 8001 8010 8011 8025 15672 25672"
"""The demo's ports, and those of servers that the tests look for."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """One machine: what is on it, who works there and where, and what is done there.

    `prepare` and `beside` are commands of root: once, and before each step; what the second one
    starts runs until the step has ended.
    """

    shows: str
    suite: str
    packages: Sequence[str] = (VENV,)
    user: str = "ada"
    folder: str = "/home/ada/admit-one"
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    beside: str = ""
    steps: Sequence[str] = STEPS
    umask: str = "022"
    has_uv: bool = False
    terminal: bool = False


ROOTS = {
    "debian-12": Root(shows="Debian 12 with Python 3.11, an ordinary user", suite="bookworm"),
    "debian-13": Root(
        shows="Debian 13 with Python 3.13, root with a umask of 077",
        suite="trixie",
        user="root",
        umask="077",
        folder="/root/admit-one",
    ),
    "uv": Root(
        shows="uv beside a Python without venv, where no RabbitMQ can be had",
        suite="bookworm",
        packages=(),
        has_uv=True,
        environment={"CI": ""},
        prepare="rm /usr/bin/apt-get",
        steps=(*STEPS[:2], f'{SMOKE} | tee /tmp/said; tail -1 /tmp/said | grep "^LEFT OUT"'),
    ),
    "odd-path": Root(
        shows="a path with spaces, #, % and umlauts",
        suite="trixie",
        folder="/home/ada/Größe 100% #1/admit one",
    ),
    "read-only-home": Root(
        shows="a HOME that cannot be written, and no IPv6",
        suite="bookworm",
        folder="/srv/admit-one",
        prepare="chown root /home/ada && chmod 555 /home/ada",
        beside="echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6",
    ),
    "proxy": Root(
        shows="a proxy in the environment, which leads to no loopback address",
        suite="trixie",
        packages=(VENV, "tinyproxy-bin"),
        environment=dict.fromkeys(
            ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), PROXY
        ),
        prepare=(
            "printf '^127\\\\.\\n^localhost$\\n' >/etc/loopback && "
            'printf \'Port 8888\\nListen 127.0.0.1\\nLogFile "/tmp/proxy.log"\\nLogLevel Connect\\n'
            'Filter "/etc/loopback"\\nTimeout 600\\n\' >/etc/proxy.conf'
        ),
        beside="tinyproxy -c /etc/proxy.conf",
        steps=(*STEPS, "! grep -E 'Request.*(//|CONNECT )(127|localhost)' /tmp/proxy.log"),
    ),
    "taken-ports": Root(
        shows="taken ports, and LANG=C",
        suite="bookworm",
        environment={"LANG": "C"},
        beside=f"""python3 -c '
import os, signal, socket, sys
taken = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1:]]
os.fork() or signal.pause()
' {TAKEN}""",
        # The demo says which command takes others.
        steps=(
            'said=$(make demo ONCE=1 2>&1) && exit 1; echo "$said"; '
            'eval "$(echo "$said" | sed -n "s/.*for example: \\(.*make demo\\).*/\\1/p") ONCE=1"',
            *STEPS[1:],
        ),
    ),
    "latin-1": Root(
        shows="a terminal that is not UTF-8",
        suite="trixie",
        packages=(VENV, "locales"),
        environment={"LANG": "de_DE.ISO-8859-1", "TERM": "xterm"},
        prepare="localedef -i de_DE -f ISO-8859-1 de_DE.ISO-8859-1",
        terminal=True,
    ),
}
