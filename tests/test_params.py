from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from logkeep.params import Boolean, Decimal

pytestmark = pytest.mark.unit

decimal: TypeAdapter[int] = TypeAdapter(Decimal)
boolean: TypeAdapter[bool] = TypeAdapter(Boolean)


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


@pytest.mark.parametrize("value", ["", "1", "0", "yes", "no", "on", "t", " true", "true\n", None])
def test_what_pydantic_alone_might_take_for_a_boolean_is_none(value: Any):
    with pytest.raises(ValidationError):
        boolean.validate_python(value)
