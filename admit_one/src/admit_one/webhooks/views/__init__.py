"""The part of the HTTP API that is about webhooks.

endpoints    made, listed, shown, changed, deleted
acts         a secret rotated, an endpoint enabled or tried
deliveries   listed, and sent again
"""

from __future__ import annotations

from django.urls import URLPattern, path

from . import acts, deliveries, endpoints


def addresses() -> list[URLPattern]:
    """What a service with webhooks adds to its addresses."""
    # `str`, not `uuid`: the views check the key first, so a malformed id is a 401 or a 404.
    endpoint = "v1/webhook-endpoints/<str:endpoint_id>"
    of_one = {"rotate-secret": acts.Rotation, "enable": acts.Enabling, "test": acts.Testing}
    return [
        path("v1/webhook-endpoints", endpoints.Endpoints.as_view(), name="webhook_endpoints"),
        path(endpoint, endpoints.EndpointDetail.as_view(), name="webhook_endpoint"),
        *(path(f"{endpoint}/{name}", view.as_view(), name=name) for name, view in of_one.items()),
        path(f"{endpoint}/deliveries", deliveries.Deliveries.as_view(), name="webhook_deliveries"),
        path(
            f"{endpoint}/deliveries/<str:webhook_id>/resend",
            deliveries.Resend.as_view(),
            name="resend_webhook",
        ),
    ]
