"""Show which RabbitMQ and PostgreSQL the tests would use: `python -m tools.servers`.

Exit codes: 0 both answer; 1 one of them is not available; 2 an option is wrong.
"""

from __future__ import annotations

import sys

from tools import command_line

from . import WAY, NoServer, Servers, postgresql, rabbitmq


def main() -> None:
    parser = command_line.parser("python -m tools.servers", __doc__)
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
