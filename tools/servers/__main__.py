"""Show which RabbitMQ and PostgreSQL the tests would take: `python -m tools.servers`.

Exit codes: 0 both answer; 1 one of them cannot be had here; 2 an option is wrong.
"""

from __future__ import annotations

import argparse
import sys

from . import WAY, NoServer, Servers, postgresql, rabbitmq


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.servers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--broker", choices=rabbitmq.PRODUCT.ways, default="", help=WAY)
    parser.add_argument("--database", choices=postgresql.PRODUCT.ways, default="", help=WAY)
    options = parser.parse_args()
    try:
        with Servers(broker=options.broker, database=options.database):
            pass
    except NoServer as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
