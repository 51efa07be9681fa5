"""Servers in containers, if a Docker daemon answers and has or can pull the image."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

import docker
import requests
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from .found import NotHere

Container = TypeVar("Container", bound=DockerContainer)


def docker_answers() -> None:
    """Raises `NotHere` if no daemon answers; many machines have only the client."""
    try:
        docker.from_env(timeout=5).ping()
    except (DockerException, requests.RequestException) as error:
        raise NotHere(f"no Docker daemon answers: {error}") from None


def container(stack: ExitStack, wanted: Container) -> Container:
    """Start a container, removed when the stack closes. Raises `NotHere`."""
    try:
        started: Container = wanted.start()
    except (DockerException, requests.RequestException, TimeoutError) as error:
        raise NotHere(f"the container does not start: {error}") from None
    stack.callback(started.stop)
    return started
