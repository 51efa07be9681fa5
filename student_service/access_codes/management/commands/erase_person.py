"""`manage.py erase_person begin|show`: erases what both sides keep about a person."""

from admit_one.erasure.command import EraseCommand


class Command(EraseCommand):
    pass
