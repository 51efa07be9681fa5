"""Makes the code that an order pays for."""

import secrets


def new_code(order_id: int) -> str:
    return f"{order_id}-{secrets.token_hex(8)}"
