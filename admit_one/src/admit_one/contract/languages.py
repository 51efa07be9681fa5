"""Language tags (BCP 47), as a field of events."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_TAG = 35
"""Characters: what RFC 5646, section 4.4.1, wants buffers to hold."""

_TAG = re.compile(r"[A-Za-z]{2,3}([-_][0-9A-Za-z]{1,8})*")


def language_tag(text: str | None) -> str | None:
    """The tag in its usual form, such as `de-AT`; none if the text is no language tag.

    `de_AT`, as programs for POSIX write it, is the same. It never raises: nobody who paid may be
    refused because of the language of a mail.
    """
    if text is None or len(text) > LONGEST_TAG or not _TAG.fullmatch(text):
        return None
    language, *others = re.split("[-_]", text)
    return "-".join([language.lower(), *map(_in_usual_case, others)])


def _in_usual_case(part: str) -> str:
    """As RFC 5646, section 2.1.1, recommends: regions like `AT`, scripts like `Latn`."""
    if len(part) == 2:
        return part.upper()
    return part.title() if len(part) == 4 and part.isalpha() else part.lower()


Language = Annotated[str | None, AfterValidator(language_tag), Field(examples=["de-AT"])]
"""A language tag. A text that is none is read as none."""
