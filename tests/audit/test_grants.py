"""What the audit of roles takes away, and how it reads what is explained."""

import pytest

from tests.audit.__main__ import covers, rows
from tests.audit.grants import TEMPLATE, Grant, grants, without

pytestmark = pytest.mark.unit

SHARED = Grant("ReadLogRole", "identity", "kms:Decrypt", "CredentialsKey.Arn")


def granted(*taken: Grant) -> set[Grant]:
    return set(grants(without(TEMPLATE, taken)))


def test_one_grant_is_taken_from_one_role() -> None:
    """Other roles have the same policy by the same anchor."""
    assert set(grants()) - granted(SHARED) == {SHARED}
    assert Grant("ListLogsRole", *SHARED.parts[1:]) in granted(SHARED)


def test_every_grant_can_be_taken() -> None:
    assert granted(*grants()) == set()


def test_a_row_covers_what_it_names() -> None:
    (row,) = rows("| role | action | resource | why |\n|---|---|---|---|\n| `*` | `kms:Decrypt` | `*` | because |\n")
    assert covers(row, SHARED)
    assert not covers(("*", "kms:Encrypt", "*"), SHARED)
