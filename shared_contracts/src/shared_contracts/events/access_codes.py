"""What the student service reports of an access code."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from admit_one.contract import Event
from admit_one.contract.fields import Moment, UserId
from pydantic import Field

CODE_PATTERN = r"^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$"
"""80 bits in Crockford's base32, in four groups."""

Code = Annotated[str, Field(pattern=CODE_PATTERN, examples=["7K3M-Q9TX-2WBD-H5RN"])]


class AccessCodeCreated(Event):
    """The access code of a subscription exists. Sent again, it always carries the same code."""

    type = "access_code_created"
    producer = "student_service"
    about = "subscription_id"
    sensitive = frozenset({"access_code"})

    subscription_id: UUID
    user_id: UserId
    access_code: Code
    issued_at: Moment


class AccessCodeRevoked(Event):
    """The code of a cancelled subscription lets nobody in, even if it should come to be later."""

    type = "access_code_revoked"
    producer = "student_service"
    about = "subscription_id"

    subscription_id: UUID
    revoked_at: Moment


class AccessCodeUndeliverable(Event):
    """The mail with a subscription's code was given up. The code itself is good."""

    type = "access_code_undeliverable"
    producer = "student_service"
    about = "subscription_id"

    subscription_id: UUID
    reason: str = Field(min_length=1, max_length=300)
    """Why, for people; without the address."""
    failed_at: Moment
