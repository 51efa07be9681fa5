"""A Django app: what all HTTP responses share. It does not use messaging.

A service uses the names below, and four modules as they are: `idempotency` (a repeated POST
changes nothing), `paging` (lists come in pages), `etags` (what a client has is not sent again) and
`openapi` (how the API page shows it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from admit_one.front_page import lazily

if TYPE_CHECKING:
    from .keys.authentication import client_of as client_of
    from .keys.authentication import key_of as key_of
    from .models import ApiKey as ApiKey
    from .serializers import Line as Line
    from .serializers import MailAddress as MailAddress
    from .serializers import Moment as Moment
    from .serializers import StrictSerializer as StrictSerializer
    from .serializers import VisibleText as VisibleText
    from .serializers import WholeNumber as WholeNumber
    from .serializers import as_text as as_text
    from .views import StrictView as StrictView

__getattr__ = lazily(
    __name__,
    {
        ".keys.authentication": ["client_of", "key_of"],
        ".models": ["ApiKey"],
        ".serializers": [
            "Line",
            "MailAddress",
            "Moment",
            "StrictSerializer",
            "VisibleText",
            "WholeNumber",
            "as_text",
        ],
        ".views": ["StrictView"],
    },
)
