"""Keys of tokens: how one is rotated, and how often Secrets Manager is asked."""

import os
import time
import uuid
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from logkeep.aws import clients
from logkeep.errors import TokenInvalid
from logkeep.identity.credentials import Kind
from logkeep.identity.token_key_store import CACHED_FOR, TokenKeys, token_keys
from logkeep.identity.tokens import claims_for, issue, read
from tests.calls import credential
from tests.faults import counted

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def keys() -> TokenKeys:
    return token_keys()


@pytest.fixture
def clock(monkeypatch) -> Callable[[float], None]:
    """Time stands still; call it with seconds to move it on."""
    now = [time.monotonic()]
    monkeypatch.setattr("logkeep.identity.token_key_store.time.monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def rotate() -> None:
    manager = clients.secretsmanager()
    made = manager.get_random_password(PasswordLength=64, ExcludePunctuation=True)["RandomPassword"]
    manager.put_secret_value(SecretId=os.environ["TOKEN_KEYS"], SecretString=made)


def token(keys: TokenKeys) -> str:
    return issue(claims_for(credential(Kind.USER), "user/x/1", time.time()), keys.current())


def good(each: str, keys: TokenKeys) -> bool:
    try:
        read(each, keys.find, time.time())
    except TokenInvalid:
        return False
    return True


def test_a_key_is_as_long_as_its_hash_at_least(keys) -> None:
    assert len(keys.current().secret) >= 32
    assert keys.find(keys.current().id) == keys.current()


def test_tokens_of_the_key_before_stay_good_and_those_of_the_one_before_that_do_not(keys, clock) -> None:
    issued = []
    for _ in range(3):
        issued.append(token(keys))
        rotate()
        clock(CACHED_FOR + 1)
    issued.append(token(keys))
    assert [good(each, keys) for each in issued] == [False, False, True, True]


def test_a_key_that_just_came_is_found_by_who_does_not_know_it_yet(keys, clock) -> None:
    token(keys)
    rotate()
    new = token(TokenKeys(clients.secretsmanager(), os.environ["TOKEN_KEYS"]))
    clock(6)
    assert good(new, keys)


def test_a_key_is_read_once_in_a_while(keys, clock) -> None:
    with counted() as counts:
        issued = token(keys)
        for _ in range(20):
            clock(10)
            assert good(issued, keys)
    assert counts == {"GetSecretValue": 2}


def test_key_ids_that_clients_make_up_cost_little(keys, clock) -> None:
    """They come out of tokens that are not proved yet."""
    keys.current()
    with counted() as counts:
        for _ in range(200):
            clock(0.05)
            assert keys.find(str(uuid.uuid4())) is None
    assert counts["GetSecretValue"] <= 2 * 2


@pytest.mark.parametrize("id", ["", "AWSCURRENT", "AWSPREVIOUS", "../x", "\0", "x" * 10_000, "\ud800"])
def test_a_key_is_found_by_its_id_alone(keys, id) -> None:
    assert keys.find(id) is None


def test_without_its_secret_it_fails_rather_than_trusts(keys) -> None:
    clients.secretsmanager().delete_secret(SecretId=os.environ["TOKEN_KEYS"], ForceDeleteWithoutRecovery=True)
    with pytest.raises(ClientError):
        keys.current()
    with pytest.raises(ClientError):
        keys.find("x")
