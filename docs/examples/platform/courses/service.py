"""Asks the student service whether a code lets in, and whether an admission still holds."""

import json
import logging
import time
import urllib.error
import urllib.request

from django.conf import settings
from django.core.cache import cache

logger = logging.getLogger(__name__)

REFUSED = {"valid": False, "reason": "not_found"}


def redeem(code, reference):
    """The answer about a code, or None if the service is away."""
    body = {"code": code, "plan": settings.ACCESS_PLAN, "reference": reference}
    answer = ask("/v1/access-codes/redeem", body)
    if answer and answer["valid"]:
        remember(answer["access_id"], valid=True)
    return answer


def holds(access_id):
    """Whether somebody who was let in may stay.

    While the service is away, the last answer counts until it is ACCESS_GRACE seconds old.
    """
    valid, since = cache.get(access_id, (False, 0.0))
    if time.time() - since < settings.ACCESS_FRESH:
        return valid
    answer = ask(f"/v1/access/{access_id}")
    if answer is None:
        return valid
    remember(access_id, valid=answer["valid"])
    return answer["valid"]


def remember(access_id, *, valid):
    kept = max(settings.ACCESS_FRESH, settings.ACCESS_GRACE)
    cache.set(access_id, (valid, time.time()), kept)


def ask(path, body=None):
    """The service's answer; None if it is away, or does not know our key."""
    request = urllib.request.Request(
        settings.ACCESS_URL + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {settings.ACCESS_KEY}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in {400, 404}:
            return REFUSED
        logger.warning("the student service answered %s", error.code)
    except (OSError, ValueError) as error:
        logger.warning("the student service is away: %s", type(error).__name__)
    return None
