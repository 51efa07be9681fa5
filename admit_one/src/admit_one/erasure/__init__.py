"""Erases what is kept about a person, on both sides of an exchange, and shows it before.

| Module | What it does |
|---|---|
| `definition` | what a service says of it in its wiring: `ERASURE`, `ERASERS` |
| `erasing` | erases subjects in one transaction, with their tombstones (`messaging.tombstones`) |
| `library` | the part of it about the library's own tables |
| `requests` | asks the other side, and answers it |
| `exporting` | everything that is kept about subjects, as one document |
| `command`, `export_command` | the commands `erase_person` and `export_person` of a service |
"""
