"""Whatever a signed event holds, it is taken or refused: never a fault of ours."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from providers.fake_stripe import OBJECTS, event
from providers.models import ProviderEvent

from tests.providers.stripe_steps import ONCE, SALE, send

pytestmark = pytest.mark.django_db

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "x" * 300, "ada@example.com,eve@example.com", "𝒳", "\u202e"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)

Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(part, (*path, name))


@st.composite
def changed_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of which one to three places hold something else, or nothing."""
    made: Any = event(draw(st.sampled_from(sorted(OBJECTS))), draw(st.sampled_from([SALE, ONCE])))
    for _ in range(draw(st.integers(1, 3))):
        made = copy.deepcopy(made)
        *before, last = draw(st.sampled_from([path for path in paths(made) if path]))
        place = made
        for step in before:
            place = place[step]
        if draw(st.booleans()) and isinstance(place, dict):
            del place[last]
        else:
            place[last] = draw(JSON)
    return dict(made)


@given(changed_events())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_content_is_taken_or_refused(made: dict[str, Any]) -> None:
    response = send(made)

    assert response.status_code in {200, 400}, response.json()
    assert response.json().get("result") in {None, *ProviderEvent.State.values}
    ProviderEvent.objects.all().delete()
