"""Check a contract package, or write its JSON Schemas and golden messages.

    python -m admit_one.contract check shared_contracts
    python -m admit_one.contract write shared_contracts

`write` brings the schemas up to date and adds golden messages that are missing. It never changes a
golden message, because consumers have already read it.
Exit code: 0 if all is well, 1 if something differs, 2 if there is no such contract.
"""

from __future__ import annotations

import argparse
import sys

from .errors import ContractError
from .package import ContractPackage
from .schemas import faults, write


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m admit_one.contract",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["check", "write"])
    parser.add_argument("package", help="the contract package, by its Python name")
    options = parser.parse_args()
    try:
        contract = ContractPackage(options.package)
        if options.action == "write":
            for path in write(contract):
                print(f"wrote {path}")
        differences = list(faults(contract))
    except ContractError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for fault in differences:
        print(fault, file=sys.stderr)
    if differences:
        sys.exit(1)
    print(f"{options.package}: {len(contract.events)} events, all equal to their files")


if __name__ == "__main__":
    main()
