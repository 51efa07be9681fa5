"""What the settings of every service have in common: `from admit_one.settings import *`."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from .environment import (
    LISTEN,
    BrokerUrl,
    DatabaseUrl,
    Environment,
    KeysById,
    ListenDatabaseUrl,
    ManagementUrl,
    PublicKeys,
    SecretText,
    TasksBrokerUrl,
    Words,
    Wrong,
    development,
    whole,
)
from .logs import configuration


def _required_outside_development(*, unless: bool = False) -> Any:
    """A default for keys without which events travel unsigned and with open values."""
    return Field(default_factory=dict) if development() or unless else Field()


IS_FIRST_EXCHANGE = sys.argv[1:2] == ["wire_keys"]
"""Of two services that are set up, one must print its public keys before it has the other's."""


class ServiceEnvironment(Environment):
    """What every service reads from its environment. A service adds its own by inheriting."""

    ENVIRONMENT: Literal["production", "development"] = "production"
    SECRET_KEY: SecretText
    ALLOWED_HOSTS: Words = ["localhost", "127.0.0.1", "[::1]"] if development() else []
    DATABASE_URL: DatabaseUrl
    LISTEN_DATABASE_URL: ListenDatabaseUrl = None
    BROKER_URL: BrokerUrl
    TASKS_BROKER_URL: TasksBrokerUrl = Field(default="", validate_default=True)
    BROKER_PREFIX: str = ""
    BROKER_MANAGEMENT_URL: ManagementUrl = ""
    SEALING_KEYS: KeysById
    WIRE_KEYS: KeysById = _required_outside_development()
    PEER_KEYS: PublicKeys = _required_outside_development(unless=IS_FIRST_EXCHANGE)
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    LOG_FORMAT: Literal["line", "json"] = "line"
    HEALTH_PORT: Annotated[int, whole(0, 65_535)] = 0
    HEALTH_ADDRESS: str = "127.0.0.1"

    @field_validator("TASKS_BROKER_URL", mode="wrap")
    @classmethod
    def _broker_url_unless_embedded(
        cls, url: Any, parse: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        if url:
            return parse(url)
        broker_url = info.data.get("BROKER_URL", "")  # missing if BROKER_URL is invalid
        if broker_url.startswith("sqlite:"):
            raise Wrong("nothing", "sqlite:////another/path beside the embedded BROKER_URL")
        return broker_url

    @property
    def databases(self) -> dict[str, dict[str, Any]]:
        """Django's DATABASES."""
        listen = self.LISTEN_DATABASE_URL
        return {"default": self.DATABASE_URL} | ({LISTEN: listen} if listen else {})

    @property
    def embedded(self) -> bool:
        """Whether the broker is the embedded one."""
        return self.BROKER_URL.startswith("sqlite:")

    @property
    def logging(self) -> dict[str, Any]:
        """Django's LOGGING."""
        return configuration(self.LOG_LEVEL, self.LOG_FORMAT)

    @property
    def messaging(self) -> dict[str, Any]:
        """What MESSAGING takes from the environment; the rest is the service's own."""
        return {
            "BROKER_URL": self.BROKER_URL,
            "BROKER_PREFIX": self.BROKER_PREFIX,
            "BROKER_MANAGEMENT_URL": self.BROKER_MANAGEMENT_URL,
            "DECLARE_TOPOLOGY": self.embedded or self.ENVIRONMENT == "development",
            "WIRE_KEYS": self.WIRE_KEYS,
            "PEER_KEYS": self.PEER_KEYS,
            "WIRE_KEYS_OPTIONAL": self.ENVIRONMENT == "development",
            "HEALTH_PORT": self.HEALTH_PORT,
            "HEALTH_ADDRESS": self.HEALTH_ADDRESS,
        }


MESSAGING_APPS = ["admit_one.acts", "admit_one.sealing", "admit_one.messaging"]
"""What INSTALLED_APPS needs to publish and to handle events."""

DEBUG = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
APPEND_SLASH = False
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
