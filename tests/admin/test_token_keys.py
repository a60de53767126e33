"""`logkeep-admin rotate-token-key`, by what becomes of tokens."""

import argparse
import time

import pytest

from admin.__main__ import rotate_token_key
from admin.target import Target
from logkeep.errors import TokenInvalid
from logkeep.identity.token_key_store import CACHED_FOR, token_keys
from logkeep.identity.tokens import Claims, claims_for, issue, read
from tests.calls import credential


def test_tokens_of_the_key_before_stay_good_and_those_of_the_one_before_that_end(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, ahead = time.monotonic, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead)

    def login() -> str:
        return issue(claims_for(credential(), "place", time.time()), token_keys().current())

    def proved(token: str) -> Claims:
        return read(token, token_keys().find, time.time())

    first = login()
    rotate_token_key(target, argparse.Namespace())
    ahead += CACHED_FOR + 1
    second = login()
    assert proved(first).place == proved(second).place == "place"

    rotate_token_key(target, argparse.Namespace())
    ahead += CACHED_FOR + 1
    third = login()
    assert proved(second).place == proved(third).place == "place"
    with pytest.raises(TokenInvalid):
        proved(first)
    assert token_keys().current().secret not in capsys.readouterr().out
    assert len(token_keys().current().secret) >= 64
