"""The pages for operators: Django's admin, in a web process and at a port of their own.

The service's public web process knows nothing of users, sessions and cookies; who runs no pages
for operators needs none of their tables.
"""
