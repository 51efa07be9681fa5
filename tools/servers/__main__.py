"""Say which RabbitMQ and PostgreSQL the tests would take: `python -m tools.servers`."""

from __future__ import annotations

import argparse
import sys

from . import NoServer, Servers, postgresql, rabbitmq


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.servers", description=__doc__)
    parser.add_argument("--broker", choices=rabbitmq.PRODUCT.ways, default="")
    parser.add_argument("--database", choices=postgresql.PRODUCT.ways, default="")
    options = parser.parse_args()
    try:
        with Servers(broker=options.broker, database=options.database):
            pass
    except NoServer as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
