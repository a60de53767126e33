"""Issued tokens: what they say, for how long, and whose signature they need."""

import base64
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.errors import TokenExpired, TokenInvalid
from logkeep.identity.credentials import Kind, user_place
from logkeep.identity.tokens import LIFETIME, Claims, SigningKey, claims_for, issue, looks_issued, read
from tests.calls import PROJECT, credential

pytestmark = pytest.mark.unit

NOW = 1_769_860_800.75
KEY = SigningKey("11111111-aaaa", "a" * 64)
OTHER = SigningKey("22222222-bbbb", "b" * 64)
KEYS = {key.id: key for key in (KEY, OTHER)}
USER = credential(Kind.USER, id="user-1", scopes=frozenset({"logs:read"}))
PLACE = user_place("u" * 32, 1)
CLAIMS = claims_for(USER, PLACE, NOW)
PAYLOAD = jwt.decode(issue(CLAIMS, KEY), options={"verify_signature": False})


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(payload: dict[str, Any], secret: str = KEY.secret, algorithm: str = "HS256", **header: object) -> str:
    return jwt.encode(payload, secret, algorithm, headers={"kid": KEY.id, **header})


def test_a_token_says_whose_it_is_and_what_it_may_do() -> None:
    token = issue(CLAIMS, KEY)
    assert looks_issued(token)
    assert read(token, KEYS.get, NOW) == CLAIMS
    assert Claims(PLACE, "user-1", PROJECT, frozenset({"logs:read"}), int(NOW), int(NOW) + LIFETIME) == CLAIMS
    assert len(token) < 600, "an HTTP API takes 10240 bytes of headers"


def test_a_token_is_good_for_a_day_and_not_for_a_second_more() -> None:
    token = issue(CLAIMS, KEY)
    assert LIFETIME == 86_400
    read(token, KEYS.get, int(NOW) + LIFETIME - 1)
    with pytest.raises(TokenExpired, match=r"^expires_at: 2026-02-01T12:00:00Z$"):
        read(token, KEYS.get, int(NOW) + LIFETIME)


def test_a_token_never_outlives_its_credential() -> None:
    ends = int(NOW) + 60
    assert claims_for(replace(USER, expires_at=ends), PLACE, NOW).expires_at == ends
    assert claims_for(replace(USER, expires_at=int(NOW) + 10 * LIFETIME), PLACE, NOW).expires_at == int(NOW) + LIFETIME


def test_two_keys_are_good_at_once_and_a_third_is_none() -> None:
    for key in KEYS.values():
        assert read(issue(CLAIMS, key), KEYS.get, NOW) == CLAIMS
    with pytest.raises(TokenInvalid, match="signed with a key that is not valid any more"):
        read(issue(CLAIMS, SigningKey("33333333-cccc", "c" * 64)), KEYS.get, NOW)


FORGED = {
    "signed with another key's secret": forged(PAYLOAD, OTHER.secret),
    "under another key's id": forged(PAYLOAD, KEY.secret, kid=OTHER.id),
    "not signed": f"{part({'alg': 'none', 'typ': 'JWT', 'kid': KEY.id})}.{part(PAYLOAD)}.",
    "not signed, with a signature": f"{part({'alg': 'none', 'kid': KEY.id})}.{part(PAYLOAD)}.{part(b'x' * 32)}",
    "signed as None": f"{part({'alg': 'None', 'kid': KEY.id})}.{part(PAYLOAD)}.",
    "another algorithm of the same key": forged(PAYLOAD, KEY.secret, "HS512"),
    "no algorithm": f"{part({'kid': KEY.id})}.{part(PAYLOAD)}.{part(b'x' * 32)}",
    "a list as algorithm": f"{part({'alg': ['HS256'], 'kid': KEY.id})}.{part(PAYLOAD)}.{part(b'x' * 32)}",
    "without a key": jwt.encode(PAYLOAD, KEY.secret, "HS256"),
    "a path as key": forged(PAYLOAD, kid="../../dev/null"),
    "a query as key": forged(PAYLOAD, kid="x' UNION SELECT 'aaaa"),
    "an empty key": forged(PAYLOAD, kid=""),
    "a number as key": f"{part({'alg': 'HS256', 'kid': 1})}.{part(PAYLOAD)}.{part(b'x' * 32)}",
    "its own key": forged(PAYLOAD, "e" * 64, kid="x", jwk={"kty": "oct", "k": part(b"e" * 64)}, jku="https://evil"),
    "a payload elsewhere": f"{part({'alg': 'HS256', 'kid': KEY.id, 'b64': False, 'crit': ['b64']})}..{part(b'x' * 32)}",
    "of another issuer": forged({**PAYLOAD, "iss": "someone"}),
    "of no issuer": forged({name: value for name, value in PAYLOAD.items() if name != "iss"}),
    **{f"without {left}": forged({k: v for k, v in PAYLOAD.items() if k != left}) for left in PAYLOAD},
    "a deep header": f"{part(b'[' * 50_000)}.{part(PAYLOAD)}.x",
    "a deep payload": f"{part({'alg': 'HS256', 'kid': KEY.id})}.{part(b'[' * 50_000)}.{part(b'x' * 32)}",
    "a list": f"{part([])}.{part(PAYLOAD)}.x",
    "no base64": "a.b.c",
    "nothing": "..",
    "half a pair": "\ud800.\ud800.\udfff",
    "NUL": "\0.\0.\0",
    "long": "a" * 40_000 + "." + "b" * 40_000 + ".",
    "white space": issue(CLAIMS, KEY) + "\n",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_none(token: str) -> None:
    with pytest.raises(TokenInvalid):
        read(token, KEYS.get, NOW)


@given(st.data())
def test_no_character_of_a_token_can_be_another(data) -> None:
    token = issue(CLAIMS, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    with pytest.raises(TokenInvalid):
        read(token[:place] + other + token[place + 1 :], KEYS.get, NOW)


@given(st.one_of(st.text(), st.lists(st.text(max_size=20), min_size=3, max_size=3).map(".".join)))
def test_no_text_raises_anything_but_that_it_is_no_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        read(text, KEYS.get, NOW)


@given(st.integers(0, 2**33), st.integers(0, 2**33))
def test_a_token_is_judged_by_the_callers_clock_alone(issued_at: int, now: int) -> None:
    """One that was issued by a clock that is ahead is good."""
    token = issue(claims_for(USER, PLACE, issued_at), KEY)
    if now < issued_at + LIFETIME:
        assert read(token, KEYS.get, now).issued_at == issued_at
    else:
        with pytest.raises(TokenExpired):
            read(token, KEYS.get, now)


@pytest.mark.parametrize("token", ["", "logkeep-demo-token", "a.b", "a.b.c.d"])
def test_an_opaque_token_is_not_taken_for_an_issued_one(token: str) -> None:
    assert not looks_issued(token)
