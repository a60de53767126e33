"""Tokens in the header Authorization: what is taken, and that nothing else raises."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.errors import AuthorizationRefused
from logkeep.identity.authorization import BASIC, BEARER, Carried, carried_in
from tests.examples import examples

pytestmark = pytest.mark.unit
TOKEN = "some-Token_1.2~3+/="  # noqa: S105 - of the tests alone


def basic(user_pass: str | bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(user_pass if isinstance(user_pass, bytes) else user_pass.encode()).decode()}"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("form", ["{} {}", "{}   {}", "{} {} ", " {} {}"])
def test_a_bearer_token_is_taken_as_it_is_in_any_case_of_the_scheme(scheme: str, form: str) -> None:
    assert carried_in(form.format(scheme, TOKEN)) == Carried(BEARER, TOKEN)


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
@pytest.mark.parametrize("user", ["", "u", "ü", b"\xfc", "0f5f3d6c", "a b"])
def test_a_password_is_the_token_whatever_the_user_is_called(scheme: str, user: str | bytes) -> None:
    name = user if isinstance(user, bytes) else user.encode()
    assert carried_in(basic(name + b":" + TOKEN.encode(), scheme)) == Carried(BASIC, TOKEN)


@pytest.mark.parametrize("token", ["with:colons:", "übrig", ":", " "])
def test_a_password_begins_after_the_first_colon_and_is_utf_8(token: str) -> None:
    assert carried_in(basic(f"user:{token}")) == Carried(BASIC, token)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearers x",
        "Basic-2 x",
        "Negotiate YQ==",
        "AWS4-HMAC-SHA256 Credential=basic/x, Signature=bearer",
        "ba\N{LATIN SMALL LETTER LONG S}ic x",
    ],
)
def test_another_scheme_carries_nothing(authorization: str) -> None:
    assert carried_in(authorization) is None


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("Bearer", "must be one Bearer"),
        ("Bearer ", "must be one Bearer"),
        ("Bearer: x", "must be one Bearer"),
        ("Bearer secret secret", "must be one Bearer"),
        ('Bearer "secret"', "must be one Bearer"),
        ("Bearer secret\n", "must be one Bearer"),
        ("Bearer\tsecret", "must be one Bearer"),
        ("Bearer sécret", "must be one Bearer"),
        ("Bearer secret,Bearer secret", "must be one Bearer"),
        ("Bearer secret, Basic dTpzZWNyZXQ=", "must be one Bearer"),
        ("Digest x=secret, bearer secret", "must be one Bearer"),
        ("Basic user:secret", "must be one Bearer"),
        ("Basic", "must be one Bearer"),
        ("Basic secret", "must be base64"),
        ("Basic dTpzZWNyZXQ", "must be base64"),  # no padding
        ("Basic dTpzZWNyZXQ==", "must be base64"),
        ("Basic dTp-fn5-", "must be base64"),  # another alphabet
        (basic(b"u:secret\xff"), "must be base64 of USER:TOKEN in UTF-8"),
        (basic("secret"), "no colon"),
        (basic("secret:"), "no password"),
        (basic(":"), "no password"),
    ],
)
def test_what_holds_no_token_or_several_is_refused_without_a_word_of_it(authorization: str, reason: str) -> None:
    with pytest.raises(AuthorizationRefused, match=reason) as refused:
        carried_in(authorization)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@examples(200)
@given(
    st.sampled_from(["", "Bearer ", "bearer", "Basic ", "BASIC  ", "Basic Og", ", Basic ", "SDK-HMAC-SHA256 "]),
    st.text() | st.binary().map(lambda each: each.decode("latin-1")) | st.binary().map(basic) | st.just("\ud800"),
)
def test_any_header_is_a_token_or_none_or_refused(start: str, rest: str) -> None:
    for authorization in (start + rest, rest + start):
        try:
            carried = carried_in(authorization)
        except AuthorizationRefused:
            continue
        assert carried is None or carried.token


@examples(100)
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8", exclude_characters=":")))
def test_a_token_comes_out_of_basic_as_it_was_put_in(token: str, user: str) -> None:
    assert carried_in(basic(f"{user}:{token}")) == Carried(BASIC, token)
