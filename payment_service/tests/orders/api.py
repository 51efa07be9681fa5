"""Posts orders."""

from __future__ import annotations

from typing import Any

from tests.conftest import Api

ORDERS = "/v1/orders"


def post(shop: Api, *, Idempotency_Key: str | None = None, **order: Any) -> Any:  # noqa: N803
    if Idempotency_Key is None:
        return shop.post(order, path=ORDERS)
    return shop.post(order, path=ORDERS, Idempotency_Key=Idempotency_Key)
