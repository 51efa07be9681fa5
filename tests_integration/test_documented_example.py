"""The programs and the test vectors in docs/events.md work as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from admit_one.trust import base64url, sealing, signatures
from admit_one.trust.keys import Own, Peer, PublicKey, WireKey

from tests_integration.harness.deployment import Deployment
from tests_integration.harness.kinds import on_servers
from tests_integration.harness.third_party import quoted
from tools.system import programs
from tools.system.commands import ROOT
from tools.system.eventually import eventually

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
PROGRAM = re.compile(r"^```(?:python|js) (\w+\.\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = dict(PROGRAM.findall(PAGE))
VECTORS = [
    line.strip("| ").rpartition(" | ")[2].strip("`")
    for line in PAGE.partition("### Test vectors")[2].partition("\n\nThis program")[0].splitlines()
    if line.startswith("| ") and "`" in line
]
PAYMENT, PAYMENT_PUBLIC, STUDENT, STUDENT_PUBLIC, BODY, SIGNATURE, _, SEALED, CODE = VECTORS
PLACE = ("7", "access_code_created", "access_code")


@on_servers
def test_the_documented_program_prints_the_code_that_is_mailed(deployment: Deployment) -> None:
    payment = deployment.system.environment("payment_service")
    mailed_before = len(deployment.mailbox.mails("third-party@example.com"))

    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAMS["third_party.py"]],
        env={
            "PATH": os.environ["PATH"],
            "BROKER_URL": quoted(deployment.place.wire_url),
            "BROKER_PREFIX": deployment.place.backends.prefix,
            **{name: payment[name] for name in ("WIRE_KEYS", "PEER_KEYS")},
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    mails = eventually(
        lambda: deployment.mailbox.mails("third-party@example.com"),
        lambda mails: len(mails) > mailed_before,
    )

    assert done.stderr == ""
    assert done.stdout.strip() in {code for mail in mails for code in mail.codes}


def test_the_test_vectors_are_what_the_services_make_and_open() -> None:
    payment, student = (WireKey(base64url.decode(secret)) for secret in (PAYMENT, STUDENT))
    own = Own("payment_service", {"p1": payment})
    sender = Peer("student_service", {"s1": PublicKey(student.public)})

    assert base64url.encode(payment.public) == PAYMENT_PUBLIC
    assert base64url.encode(student.public) == STUDENT_PUBLIC
    assert signatures.sign(BODY.encode(), own, "student_service") == SIGNATURE
    assert sealing.unseal(PLACE, SEALED, own, sender) == CODE


def test_the_documented_program_for_node_makes_and_opens_the_test_vectors() -> None:
    done = subprocess.run(
        [programs.needed("nodejs"), "-e", PROGRAMS["vectors.js"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == [SIGNATURE, CODE]
