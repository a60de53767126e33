"""Passwords: what is kept of one, and how much a guess costs."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.identity import passwords
from logkeep.identity.passwords import hash_password, match_nobody, matches

pytestmark = pytest.mark.unit

HASHED = hash_password("correct horse")


@contextmanager
def cost(n: int) -> Iterator[None]:
    """Another than a guess is worth: what is tried is not the cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_COST", (n, 1, 1))
        yield


def test_the_password_matches_and_no_other_does() -> None:
    assert matches("correct horse", HASHED)
    assert not matches("correct horsf", HASHED)


def test_a_hash_says_how_it_was_made() -> None:
    name, n, r, p, salt, key = HASHED.split(":")
    assert (name, n, r, p) == ("scrypt", "32768", "8", "3")
    assert (len(salt), len(key)) == (32, 64)
    assert "horse" not in HASHED


@given(
    st.one_of(st.text(), st.sampled_from(["", "\0", "a\0b", "\ud800", "é", "e\u0301", "x" * 1024])),
    st.one_of(st.text(), st.sampled_from(["", "\0", "a", "\udfff", "e\u0301", "x" * 1023])),
)
def test_any_text_is_a_password_and_only_itself(password: str, guess: str) -> None:
    with cost(16):
        kept = hash_password(password)
    assert matches(password, kept)
    assert matches(guess, kept) is (guess == password)


def test_the_same_password_is_kept_differently_for_everyone() -> None:
    with cost(16):
        assert len({hash_password("x") for _ in range(20)}) == 20


def test_a_hash_of_an_earlier_cost_still_matches() -> None:
    with cost(16):
        earlier = hash_password("x")
    with cost(32):
        assert matches("x", earlier)
        assert hash_password("x").startswith("scrypt:32:1:1:")


def test_to_look_for_nobody_takes_the_same_work_and_memory_as_for_somebody(monkeypatch) -> None:
    done: list[dict[str, Any]] = []

    def scrypt(_: bytes, **cost: Any) -> bytes:
        done.append(cost)
        return bytes(cost["dklen"])

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    matches("guess", HASHED)
    match_nobody("guess")
    somebody, nobody = [{**cost, "salt": len(cost["salt"])} for cost in done]
    assert somebody == nobody
    assert 128 * nobody["n"] * nobody["r"] == 32 << 20, "bytes, of which a function has 1769 MB"
    assert nobody["maxmem"] == 64 << 20
