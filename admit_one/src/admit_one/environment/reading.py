"""Reads all settings of a process from its environment, and reports all wrong ones at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import GetCoreSchemaHandler, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from admit_one.masking import learn, mask, mask_tracebacks

LONGEST_FILE = 65_536
"""Characters read from a file: a device named by mistake must not fill the memory."""


class Wrong(ValueError):
    """An invalid setting. `got` is shown to people, so it never holds a value that may be secret.

    `expected` defaults to what the field's kind expects.
    """

    def __init__(self, got: str, expected: str = "") -> None:
        super().__init__(f"expected {expected}, got {got}" if expected else got)
        self.got = got
        self.expected = expected


@dataclass(frozen=True)
class Reads:
    """A kind of setting: how its text is read. `parse` raises `Wrong`."""

    expected: str
    parse: Callable[[str], Any]
    secrets: Callable[[str], Iterable[str]] | None = None
    """The parts of the text to mask. With it, `NAME_FILE` is read as well."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)


class Environment(BaseSettings):
    """The base of a service's settings: each field is the variable of that name.

    A blank variable counts as missing. For a secret, `NAME_FILE` may name a file that holds it.
    Every secret is masked in all logs from then on.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, validate_default=False)

    @classmethod
    def read(cls) -> Self:
        """The settings in force. Ends the process if any is wrong, with one line for each."""
        mask_tracebacks()
        try:
            return cls()
        except ValidationError as error:
            sys.exit("\n".join(_faults(cls, error)))

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (_Variables(settings_cls),)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        fields = type(self).model_fields
        return ((name, value) for name, value in self if _secrets(fields[name]) is None)

    @field_validator("*", mode="before")
    @classmethod
    def _could_be_read(cls, value: Any) -> Any:
        if isinstance(value, Wrong):
            raise value
        return value


def development() -> bool:
    """Whether this is a developer's machine, where guest logins and embedded parts are fine.

    Anything but ENVIRONMENT=development counts as production.
    """
    return _given("ENVIRONMENT") == "development"


class _Variables(PydanticBaseSettingsSource):
    """The variables of this process, and the files that they name."""

    def __call__(self) -> dict[str, Any]:
        values = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value != ""}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        secrets = _secrets(field)
        if secrets is None:
            return _given(field_name), field_name, False
        value = _value_or_file(field_name)
        if isinstance(value, str):
            learn(secrets(value))
        return value, field_name, False


def _given(name: str) -> str:
    return os.environ.get(name, "").strip()


def _value_or_file(name: str) -> str | Wrong:
    value, path = _given(name), _given(f"{name}_FILE")
    if not path:
        return value
    if value:
        return Wrong("both", f"either {name} or {name}_FILE")
    try:
        with Path(path).open(encoding="utf-8-sig") as file:  # some editors write a byte order mark
            text = file.read(LONGEST_FILE + 1)
    except OSError as error:  # not the path: somebody may have put the secret itself there
        return Wrong(str(error.strerror), f"{name}_FILE to name a file that can be read")
    except UnicodeDecodeError:
        return Wrong("something else", f"{name}_FILE to name a text file in UTF-8")
    if len(text) > LONGEST_FILE:
        return Wrong("more", f"{name}_FILE to name a file of at most {LONGEST_FILE:,} characters")
    return text.strip()


def _faults(settings: type[Environment], wrong: ValidationError) -> Iterator[str]:
    for error in wrong.errors(include_url=False):
        name = str(error["loc"][0])
        expected = _expected(settings.model_fields[name])
        match error["type"]:
            case "missing":
                got = "nothing"
            case "literal_error":
                got = repr(error["input"])
            case _:
                cause = error.get("ctx", {}).get("error")
                got = getattr(cause, "got", "something else")
                expected = getattr(cause, "expected", "") or expected
        # Masked: somebody may have put a secret into a setting that is none.
        yield f"{name}: expected {expected}, got {mask(got)}"


def _expected(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(get_args(field.annotation))}"
    kind = _kind(field)
    return kind.expected if kind else field.description or "a value"


def _secrets(field: FieldInfo) -> Callable[[str], Iterable[str]] | None:
    kind = _kind(field)
    return kind.secrets if kind else None


def _kind(field: FieldInfo) -> Reads | None:
    return next((each for each in field.metadata if isinstance(each, Reads)), None)
