"""Django's command line for the student service."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "student_service.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # its text says what is expected; a traceback hides it
        sys.exit(str(error))
