"""What the commands of messaging and of the services have in common."""

from django.core.management.base import BaseCommand


class ServiceCommand(BaseCommand):
    """A command that starts fast: it checks the messaging, and leaves the API's addresses alone.

    To import every view, as Django's checks would, takes as long as all the rest.
    """

    requires_system_checks = ("messaging",)
