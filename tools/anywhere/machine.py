"""What this machine says about mirrors, package indexes and certificates; the roots need it, too.

Its answers are asked of apt and pip, and taken from the environment: the project names no index.
"""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLES = re.compile(
    r"(PIP_|UV_|NPM_CONFIG_)\w+|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|NODE_EXTRA_CA_CERTS"
    r"|(https?|all|no)_proxy",
    re.IGNORECASE,
)
UV_SETTINGS = (Path("/etc/uv/uv.toml"), Path.home() / ".config" / "uv" / "uv.toml")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
HOSTS = "127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n"
"""As Debian's installer writes it; debootstrap writes none.

Without its own name, each connection to RabbitMQ and each greeting of a mail server would wait for
a name server, and would be late whenever that is.
"""

RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
"""systemd's own resolver listens on a loopback address, which is another one in the root."""


def environment() -> dict[str, str]:
    """The variables that say where packages come from."""
    return {name: value for name, value in os.environ.items() if VARIABLES.fullmatch(name)}


def files() -> dict[str, str]:
    """By path in a root, the text of each file that says where packages come from."""
    texts = {
        "/etc/apt/apt.conf.d/90machine": _output("apt-config", "dump", "Acquire"),
        "/etc/hosts": HOSTS.format(name=socket.gethostname()),
        "/etc/pip.conf": _pip_conf(),
        str(CERTIFICATES): CERTIFICATES.read_text(),
        "/etc/resolv.conf": next(file for file in RESOLVERS if file.exists()).read_text(),
    }
    for settings in filter(Path.exists, UV_SETTINGS):  # the user's come last
        texts["/etc/uv/uv.toml"] = settings.read_text()
    return texts


def paths() -> list[str]:
    """Files and folders of this machine that the settings of pip and uv name."""
    values = list(_pip_settings().values())
    values += [value for name, value in environment().items() if name.startswith(("PIP_", "UV_"))]
    named = (Path(word.removeprefix("file://")) for value in values for word in value.split())
    # An index links to files that lie beside its pages.
    shown = (path.parent if path.name == "simple" else path for path in named)
    return sorted({str(path) for path in shown if path.is_absolute() and path.exists()})


def _pip_conf() -> str:
    lines: dict[str, list[str]] = {}
    for name, value in _pip_settings().items():
        section, _, option = name.partition(".")
        lines.setdefault(section, []).append(f"{option} = " + "\n    ".join(value.split()))
    return "".join(
        f"[{section}]\n" + "\n".join(options) + "\n" for section, options in lines.items()
    )


def _pip_settings() -> Mapping[str, str]:
    """What pip's files say; its variables are in the environment. Nothing where there is no pip."""
    printed = _output(sys.executable, "-m", "pip", "config", "list")
    lines = (line.partition("=") for line in printed.splitlines() if not line.startswith(":env:"))
    return {name: ast.literal_eval(value) for name, _, value in lines}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
