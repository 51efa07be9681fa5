"""Django's command line for the student service."""

from admit_one.processes.command_line import run

if __name__ == "__main__":
    run("student_service.settings")
