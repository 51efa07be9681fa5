"""Operators show codes and act on them with `manage.py access_code`."""

from __future__ import annotations

from io import StringIO

import pytest
from access_codes.models import AccessCode, MailIntent
from admit_one.acts.models import Act
from admit_one.messaging.testing import published
from django.core.management import CommandError, call_command

from tests.test_admission import issued

pytestmark = pytest.mark.django_db


def access_code(*arguments: str) -> str:
    out = StringIO()
    call_command("access_code", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_code_is_shown_masked_by_its_id_or_subscription() -> None:
    row = issued()
    by_id, by_subscription = access_code("show", row.access_id), access_code("show", str(row.pk))

    assert by_id == by_subscription
    assert row.code not in by_id
    for shown in (f"****-****-****-{row.code[-4:]}", row.access_id, "issued"):
        assert shown in by_id


def test_a_code_is_shown_with_what_was_done_to_it_by_whom_and_why() -> None:
    row = issued()
    access_code("suspend", row.access_id, "--reason", "chargeback", "--by", "ada")
    access_code("revoke", row.access_id, "--reason", "fraud", "--by", "bob")

    shown = access_code("show", row.access_id).splitlines()
    acts = [line.split()[0] + line[line.index(" by ") :] for line in shown if " by " in line]
    assert acts == ["suspend by ada: chargeback", "revoke by bob: fraud"]


@pytest.mark.parametrize("name", ["suspend", "reinstate", "revoke", "replace", "resend"])
def test_each_act_is_done_and_on_record(name: str) -> None:
    row = issued()
    if name == "reinstate":
        access_code("suspend", row.access_id, "--reason", "x")
    said = access_code(name, row.access_id, "--reason", "she asked", "--by", "ada")

    [act] = Act.objects.filter(action=name)
    assert (act.by, act.reason) == ("ada", "she asked")
    assert said.startswith(row.access_id)


@pytest.mark.parametrize("name", ["suspend", "revoke", "replace", "resend"])
def test_a_dry_run_says_what_would_happen_and_changes_nothing(name: str) -> None:
    row = issued()
    before = list(AccessCode.objects.values()), MailIntent.objects.count(), len(list(published()))
    said = access_code(name, row.access_id, "--reason", "x", "--dry-run")

    assert f"{row.access_id}  would be " in said
    assert "nothing was changed" in said
    assert before == (
        list(AccessCode.objects.values()), MailIntent.objects.count(), len(list(published())),
    )  # fmt: skip
    assert not Act.objects.exists()


def test_what_is_not_possible_is_named_and_the_rest_is_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = issued()
    access_code("replace", f"{row.pk}.1", "--reason", "leaked")
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2 codes were not changed"):
        call_command(
            "access_code", "revoke", f"{row.pk}.1", f"{row.pk}.2", "--reason", "x",
            stdout=out, stderr=out,
        )  # fmt: skip

    assert f"works now is {row.pk}.2" in out.getvalue()
    assert f"{row.pk}.2  revoked" in out.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [("show", "7K3M-Q9TX-2WBD-H5RN"), ("revoke", "7K3M-Q9TX-2WBD-H5RN", "--reason", "x")],
)
def test_a_code_given_for_its_id_is_not_repeated(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        access_code(*arguments)

    assert "7K3M" not in str(refused.value)


def test_a_code_that_never_was_is_not_shown() -> None:
    row = issued()
    with pytest.raises(CommandError, match="there is no code"):
        access_code("show", f"{row.pk}.2")
