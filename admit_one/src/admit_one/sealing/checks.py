"""System check: there is a key to seal with."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from . import conf


@register("sealing")
def there_is_a_key(**_: Any) -> list[CheckMessage]:
    try:
        conf.sealing_keys()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="sealing.E001")]
    return []
