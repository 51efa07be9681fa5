"""A Django app: the web process, which serves a service's addresses. It knows none of them."""
