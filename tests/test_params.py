from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from logkeep.params import Boolean, Decimal, Integer, NotSeconds

pytestmark = pytest.mark.unit

decimal: TypeAdapter[int] = TypeAdapter(Decimal)
boolean: TypeAdapter[bool] = TypeAdapter(Boolean)
integer: TypeAdapter[int] = TypeAdapter(Integer)
time: TypeAdapter[int] = TypeAdapter(Annotated[Decimal, NotSeconds])


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_a_decimal_is_read_from_its_digits(number: int):
    assert decimal.validate_python(str(number)) == number
    assert decimal.validate_python(number) == number


@given(st.text(max_size=8))
def test_a_text_is_a_decimal_only_if_it_is_plain_digits(text: str):
    plain = text.removeprefix("-")
    if plain.isascii() and plain.isdigit():
        assert decimal.validate_python(text) == int(text)
    else:
        with pytest.raises(ValidationError):
            decimal.validate_python(text)


@pytest.mark.parametrize(
    "text", ["", "-", "+1", " 1", "1 ", "1\n", "1_000", "1.0", "1e3", "0x1", "\u0661", "9" * 19, "--1"]
)
def test_what_python_alone_might_take_for_a_number_is_none(text: str):
    with pytest.raises(ValidationError):
        decimal.validate_python(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("TRUE", True), ("True", True), ("false", False), ("False", False), (True, True), (False, False)],
)
def test_a_boolean_is_true_or_false_in_any_case(value: Any, expected: bool):
    assert boolean.validate_python(value) is expected


@pytest.mark.parametrize("value", ["", "1", "0", "yes", "no", "on", "t", " true", "true\n", None, 1, 0, 1.0])
def test_what_pydantic_alone_might_take_for_a_boolean_is_none(value: Any):
    with pytest.raises(ValidationError):
        boolean.validate_python(value)


@given(st.integers(-(2**53), 2**53))
def test_a_json_number_without_a_fraction_is_its_integer(number: int):
    for adapter in (integer, decimal):
        assert adapter.validate_json(f"{number}.0", strict=True) == number
        assert adapter.validate_json(str(number), strict=True) == number
    assert integer.validate_json("1795334400000.0") == integer.validate_json("17953344e5") == 1795334400000


@pytest.mark.parametrize(
    "text", ["true", "false", "null", "7.5", "1e400", "-1e400", "1e16", "NaN", '"7_0"', "[7]", "{}"]
)
def test_what_pydantic_alone_might_take_for_an_integer_is_none(text: str):
    for adapter in (integer, decimal):
        with pytest.raises(ValidationError):
            adapter.validate_json(text)


def test_digits_are_an_integer_only_where_a_client_sends_them():
    assert decimal.validate_json('"7"') == 7
    with pytest.raises(ValidationError, match="must be a whole number"):
        integer.validate_json('"7"')


@pytest.mark.parametrize("seconds", [10**8, 1_795_334_400, 10**11 - 1])
def test_a_time_in_seconds_is_asked_about(seconds: int):
    with pytest.raises(ValidationError, match=r"milliseconds\? read as such, \d+ is a time of 197[0-3]-"):
        time.validate_python(str(seconds))


@pytest.mark.parametrize("milliseconds", [0, 1, 10**8 - 1, 10**11, 1_795_334_400_000])
def test_a_time_in_milliseconds_is_taken(milliseconds: int):
    assert time.validate_python(milliseconds) == milliseconds
