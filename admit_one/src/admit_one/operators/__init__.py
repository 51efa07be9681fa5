"""The pages for operators: Django's admin, in a web process and on a port of its own.

The service's public web process has no users, sessions or cookies, and a service without these
pages needs none of their tables.
"""
