"""The shop's web process: pays the orders FIRST to LAST, each once, even if that fails.

    python -m pay FIRST LAST TRIED

TRIED is a file that lists the orders already tried: a client does not pay twice.
"""

import asyncio
import inspect
import sys
from pathlib import Path

from shop.services import pay


def main() -> None:
    first, last, tried = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    begun = set(tried.read_text().split()) if tried.exists() else set()
    with asyncio.Runner() as runner:
        for order_id in range(first, last + 1):
            if str(order_id) in begun:
                continue
            with tried.open("a") as file:
                file.write(f"{order_id}\n")
            try:
                result = pay(order_id, f"student-{order_id}@example.com")
                if inspect.isawaitable(result):
                    runner.run(_wait(result))
            except Exception as error:  # noqa: BLE001 - a web process answers 500 and continues
                print(f"order {order_id}: {type(error).__name__}: {error}", flush=True)


async def _wait(result):
    return await result


if __name__ == "__main__":
    main()
