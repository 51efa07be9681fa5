"""`manage.py export_person`: exports everything that this service keeps about a person."""

from admit_one.erasure.export_command import ExportCommand


class Command(ExportCommand):
    pass
