"""A Django app: the web process, which serves the URLs of a service."""
