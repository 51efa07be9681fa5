"""Who handles what: the service under test, and the one that it talks to."""

from __future__ import annotations

from admit_one.contract import Service, Topology

from .events import (
    AccessCodeAssigned,
    AccessCodeCreated,
    AccessCodeUndeliverable,
    UserSubscribed,
)

PAYMENT = Service("payment_service", handles=(AccessCodeCreated, AccessCodeUndeliverable))
STUDENT = Service("student_service", handles=(UserSubscribed, AccessCodeAssigned))
TOPOLOGY = Topology(PAYMENT, STUDENT)
