"""Parsing of requests: an error names what the client wrote, and nothing of how it is validated."""

import gzip
import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, RootModel, model_validator

from logkeep.apis.css.search import SearchRequest
from logkeep.apis.css.settings import SettingsRequest
from logkeep.errors import Invalid, TooLarge, UnsupportedBody, UnsupportedCoding
from logkeep.events.segments import EventBatch
from logkeep.identity.keystone import Login
from logkeep.params import Decimal, Segment
from logkeep.restores.verification import VerifyRequest
from logkeep.web.parsing import Nothing, check_text, inflated, is_gzipped, json_model, query_model, query_values

pytestmark = pytest.mark.unit


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: int


class Square(BaseModel):
    kind: Literal["square"]
    side: int


class Words(RootModel[list[Segment]]):
    pass


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    labels: dict[Annotated[str, Field(max_length=3)], int] = {}
    size: Annotated[int, AfterValidator(_even)] | list[Annotated[int, Field(ge=1)]] | None = None
    shape: Annotated[Circle | Square, Field(discriminator="kind")] | None = None
    either: Circle | Square | None = None
    words: Words | None = None
    pair: tuple[int, str] | None = None
    old: int = Field(default=0, validation_alias=AliasChoices("new_name", "oldName"))

    @model_validator(mode="after")
    def _fits(self) -> "Request":
        if self.old == 99:
            raise ValueError("must not be 99")
        return self


def error_of(model: type[BaseModel], body: Any) -> Invalid | None:
    """The error of a body, given as bytes or as what JSON makes them of; None if it is parsed."""
    try:
        json_model(model, body if isinstance(body, bytes) else json.dumps(body).encode())
    except Invalid as error:
        return error
    return None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"labels": {"long": 1}}, "labels.long"),  # pydantic: labels.long.[key]
        ({"labels": {"abc": "x"}}, "labels.abc"),
        ({"labels": {"[key]": 1}}, "labels.[key]"),  # the client's own
        ({"labels": []}, "labels"),
        ({"size": 3}, "size"),  # pydantic: size.function-after[_even(), int]
        ({"size": "many"}, "size"),
        ({"size": {}}, "size"),
        ({"shape": {"kind": "circle", "radius": "x"}}, "shape.radius"),  # pydantic: shape.circle.radius
        ({"shape": {"kind": "circle"}}, "shape.radius"),
        ({"shape": {"kind": "circle", "radius": 1, "circle": 2}, "words": ["a b"]}, "words.0"),
        ({"shape": {"kind": "line"}}, "shape"),
        ({"shape": {}}, "shape"),
        ({"either": {"kind": "square"}}, "either.kind"),  # pydantic: either.Circle.kind
        ({"either": {"kind": "circle", "radius": None}}, "either.radius"),
        ({"words": ["a", "b c"]}, "words.1"),
        ({"words": [["a"]]}, "words.0"),
        ({"pair": [1]}, "pair.1"),
        ({"pair": ["x", "y"]}, "pair.0"),
        ({"new_name": "x"}, "new_name"),
        ({"oldName": "x"}, "oldName"),
        ({"unknown": 1}, "unknown"),
        ({"function-after[_even(), int]": 1}, "function-after[_even(), int]"),  # the client's own
        ({"new_name": 99}, "request"),
        ([], "request"),
        (b"", "request"),
        (b"{", "request"),
        (b'{"words": ["a", "b c"], "words": ["b c"]}', "words.0"),
        (b'{"words": ["b c"], "words": 3}', "words"),
    ],
)
def test_an_error_names_the_field_as_the_client_does(body: Any, field: str):
    error = error_of(Request, body)
    assert error
    assert error.field == field


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        (EventBatch, {"events": [{"occur_time": 1, "event_type": "normal"}]}, "events.0.event_info: is required"),
        (SettingsRequest, {"services": ["a", "b c"]}, "services.1: must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        (SettingsRequest, {"services": ["a", "a"]}, "services: names a service twice"),
        (SettingsRequest, {"log_Bucket": [""]}, "log_Bucket: Input should be a valid string"),
        (SettingsRequest, {"logBucket": "x" * 256}, "logBucket: String should have at most 255 characters"),
        (VerifyRequest, {"mode": "sample", "depth": 1}, "depth: is not a field of this request"),
        (SearchRequest, {"logType": "instance"}, "instance_name: is required"),
        (SearchRequest, {"instanceName": "a b"}, "instanceName: must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        (Login, {"auth": {"identity": {"methods": ["password"]}}}, "auth.identity.password: is required"),
        (Login, {"auth": {"identity": {"methods": ["totp"]}}}, "auth.identity.methods.0: Input should be 'password'"),
        (Login, b"", "request: a body of JSON is required"),
    ],
)
def test_an_error_of_a_real_request_says_where_and_why(model: type[BaseModel], body: Any, text: str):
    assert str(error_of(model, body)) == text


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Request.model_fields, "new_name", "oldName", "x"]), _json, max_size=3))
def test_whatever_a_client_sends_is_parsed_or_refused_by_its_own_names(body: dict[str, Any]):
    error = error_of(Request, body)
    if error:
        assert error.field == "request" or error.field.split(".")[0] in body
        assert not any(word in error.field for word in ("function-", "Circle", "constrained", "[key]"))


class Query(BaseModel):
    limit: Annotated[Decimal, Field(ge=1)] = 1
    name: Segment = "n"


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (SettingsRequest, {"auto_enable": 0}),
        (SearchRequest, {"instance_name": "node-1", "log_type": "instance", "limit": True}),
    ],
)
def test_a_value_of_another_json_type_is_refused(model: type[BaseModel], body: Any):
    """Found by schemathesis: 0 switched backups off."""
    with pytest.raises(Invalid):
        json_model(model, json.dumps(body).encode())


def test_a_name_of_a_list_takes_every_value():
    class Query(BaseModel):
        ids: list[str]

    assert query_model(Query, {"ids": ["a", "b"]}, {}).ids == ["a", "b"]


def test_a_query_is_refused_with_the_first_name_that_does_not_fit():
    assert query_model(Query, {"limit": ["2"], "other": ["x", "y"]}, {"name": "m"}) == Query(limit=2, name="m")
    for values, text in [
        ({"limit": ["1_0"]}, "limit: must be a decimal number"),
        ({"limit": ["0"]}, "limit: Input should be greater than or equal to 1"),
        ({"limit": ["1", "1"]}, "limit: given more than once"),
        ({"name": ["a b"]}, "name: must be 1 to 128 of A-Z a-z 0-9 . _ -"),
    ]:
        with pytest.raises(Invalid) as refused:
            query_model(Query, values, {})
        assert str(refused.value) == text


def test_a_value_of_the_path_counts_before_one_of_the_query():
    assert query_model(Query, {"name": ["query"]}, {"name": "path"}).name == "path"


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ("", {}),
        ("&&", {}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a=1,2", {"a": ["1,2"]}),
        ("a", {}),
        ("a=&b=1&a=2&c=", {"a": ["2"], "b": ["1"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("%61=%2B%20", {"a": ["+ "]}),
        ("=x", {"": ["x"]}),
    ],
)
def test_a_query_string_keeps_every_value_of_a_name_but_no_empty_one(raw: str, values: dict[str, list[str]]):
    assert query_values(raw, plus_is_blank=True) == query_values(raw, plus_is_blank=False) == values


def test_a_plus_is_a_blank_only_in_forms():
    assert query_values("a+b=c+d", plus_is_blank=True) == {"a b": ["c d"]}
    assert query_values("a+b=c+d", plus_is_blank=False) == {"a+b": ["c+d"]}


@pytest.mark.parametrize(
    ("body", "length", "exact", "refused"),
    [
        (b"abc", "3", False, False),
        (b"abc", "3", True, False),
        (b"abc", "4", False, True),
        (b"abc", "4", True, True),
        (b"abc", "much", False, True),
        (b"abc", None, False, False),
        (b"abc", None, True, True),
        (b"", None, True, False),
        (b"", "0", True, False),
        (b"", "5", False, True),
        ("a\ufffd".encode(), "4", False, False),
        ("a\ufffd".encode(), "4", True, True),
    ],
)
def test_text_that_may_not_be_what_the_client_sent_is_refused(
    body: bytes, length: str | None, exact: bool, refused: bool
):
    if not refused:
        check_text(body, length, exact=exact)
        return
    with pytest.raises(UnsupportedBody):
        check_text(body, length, exact=exact)


@pytest.mark.parametrize("name", ["limt", "", "x" * 200])
def test_a_parameter_that_a_request_does_not_have_is_named(name: str):
    with pytest.raises(Invalid, match="is not a parameter of this request") as caught:
        query_model(Nothing, {name: ["1"]}, {})
    assert caught.value.field == (name or "request")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "Gzip", "x-gzip", " X-GZip ", "gzip,", "identity, gzip"])
def test_gzip_is_known_in_any_spelling(coding: str):
    assert is_gzipped(coding)


@pytest.mark.parametrize("coding", ["", " ", ",", "identity", "Identity"])
def test_no_coding_is_none(coding: str):
    assert not is_gzipped(coding)


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, br", "gz", "UTF-8", "x" * 9]
)
def test_any_other_coding_is_refused(coding: str):
    with pytest.raises(UnsupportedCoding, match=f"^Content-Encoding {coding}"):
        is_gzipped(coding)


def test_a_gzip_body_is_inflated_up_to_its_limit():
    assert inflated(gzip.compress(b"x" * 100), 100) == b"x" * 100
    assert inflated(b"", 100) == b"", "some clients send the header with every request"
    with pytest.raises(TooLarge, match="more than 100 bytes"):
        inflated(gzip.compress(b"x" * (64 << 20)), 100)


PACKED = gzip.compress(b"{}", mtime=0)


@pytest.mark.parametrize(
    "body",
    [b"{}", PACKED[:-1], PACKED[:5], PACKED * 2, PACKED + b" "],
)
def test_a_body_that_is_not_one_gzip_member_is_refused(body: bytes):
    with pytest.raises(Invalid, match=r"^body: "):
        inflated(body, 100)
