"""Who has an answer already gets 304, and never for an answer that is not true any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from access_codes import operating, redeeming
from access_codes.models import AccessCode, Terms
from access_codes.redeeming import Question
from django.utils import timezone

from tests.api import Api
from tests.test_admission import issued, set_terms

HOUR = timedelta(hours=1)
GETS = ("/v1/access-codes", "/v1/access-codes/{0}", "/v1/access/{0}")


def again(platform: Api, path: str, tag: str) -> Any:
    return platform.http.get(path, headers={"If-None-Match": tag})


def end(row: AccessCode) -> None:
    """Let the time pass after which the code is expired. Nothing is written but its terms' end."""
    Terms.objects.filter(pk=row.pk).update(valid_until=timezone.now() - HOUR)


CHANGES: dict[str, Callable[[AccessCode], object]] = {
    "suspended": lambda row: operating.suspend(row.pk, 1, by="ada", reason="a test"),
    "revoked": lambda row: operating.revoke(row.pk, 1, by="ada", reason="a test"),
    "replaced": lambda row: operating.replace(row.pk, 1, by="ada", reason="a test"),
    "redeemed": lambda row: redeeming.redeem(Question(row.code), client="platform"),
    "expired": end,
}


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_is_304_until_anything_in_it_changes(
    platform: Api, path: str, change: str
) -> None:
    row = issued()
    set_terms(row, valid_until=timezone.now() + HOUR)
    first = platform.get(path.format(row.access_id))
    same = again(platform, path.format(row.access_id), first["ETag"])

    CHANGES[change](row)
    changed = again(platform, path.format(row.access_id), first["ETag"])

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert (changed.status_code, changed["ETag"] == first["ETag"]) == (200, False)
    assert changed.json() == platform.get(path.format(row.access_id)).json()


@pytest.mark.parametrize(
    ("terms", "before", "after"),
    [
        ("valid_until", ("ok", "issued"), ("expired", "expired")),
        ("valid_from", ("not_yet_valid", "not_yet_valid"), ("ok", "issued")),
    ],
)
def test_the_clock_alone_ends_a_304(
    platform: Api, terms: str, before: tuple[str, str], after: tuple[str, str]
) -> None:
    row = issued()
    at = timezone.now() + timedelta(seconds=1.5)
    set_terms(row, **{terms: at})
    paths = [path.format(row.access_id) for path in ("/v1/access/{0}", "/v1/access-codes/{0}")]
    first = [platform.get(path) for path in paths]

    statuses, answers = until_not_304(platform, paths, [answer["ETag"] for answer in first])

    assert (first[0].json()["reason"], first[1].json()["state"]) == before
    assert (answers[0]["reason"], answers[1]["state"]) == after
    assert statuses == {200, 304}


def until_not_304(
    platform: Api, paths: list[str], tags: list[str]
) -> tuple[set[int], list[dict[str, Any]]]:
    """All statuses until each of the answers is another, and these."""
    deadline = timezone.now() + timedelta(seconds=20)
    statuses = set()
    while timezone.now() < deadline:
        given = [again(platform, *each) for each in zip(paths, tags, strict=True)]
        statuses |= {answer.status_code for answer in given}
        if all(answer.status_code == 200 for answer in given):
            return statuses, [answer.json() for answer in given]
    raise AssertionError(f"still {statuses}")


def test_keys_that_see_different_answers_have_different_tags(platform: Api) -> None:
    path = f"/v1/access-codes/{issued().access_id}"
    tag = platform.get(path)["ETag"]

    masked = again(Api("program", "codes:operate"), path, tag)

    assert masked.status_code == 200
    assert masked.json()["access_code"].startswith("****-")


def test_the_link_of_a_page_is_the_whole_address_of_next(platform: Api) -> None:
    newest = max((issued() for _ in range(2)), key=lambda row: UUID(str(row.pk)))
    page = platform.get("/v1/access-codes?limit=1&plan=gold")
    last = platform.get(page.json()["next"])

    assert page["Link"] == f'<http://testserver{page.json()["next"]}>; rel="next"'
    assert page.json()["results"][0]["access_id"] == newest.access_id
    assert "Link" not in last.headers
    assert (
        again(platform, "/v1/access-codes?limit=1&plan=gold", page["ETag"])["Link"] == page["Link"]
    )
