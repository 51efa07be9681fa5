"""Django's command line for the payment service."""

from admit_one.processes.command_line import run

if __name__ == "__main__":
    run("payment_service.settings")
