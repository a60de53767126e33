"""Parses requests: query strings and JSON bodies, into models. Errors name fields as the client does."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_origin
from urllib.parse import unquote, unquote_plus

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json

from logkeep.errors import Invalid, TooLarge, UnsupportedBody, UnsupportedCoding

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}".encode()


class Nothing(BaseModel):
    """The query or the body of a request that takes none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def query_values(raw: str, *, plus_is_blank: bool) -> dict[str, list[str]]:
    """Every value of every name in a raw query string, in the order of the request.

    A name without a value is left out: clients send it for what their user has not set.
    """
    decode = unquote_plus if plus_is_blank else unquote
    values: dict[str, list[str]] = {}
    for pair in raw.split("&"):
        name, _, value = pair.partition("=")
        if value:
            values.setdefault(decode(name), []).append(decode(value))
    return values


def query_model[M: BaseModel](model: type[M], query: Mapping[str, Sequence[str]], path: Mapping[str, str]) -> M:
    """The values of a query string and of a path as a model; those of the path win.

    A list takes every value of its name. Raises Invalid with the first name that does not fit, or that the query gives
    more than once.
    """
    values: dict[str, Any] = {}
    for name, given in query.items():
        field = model.model_fields.get(name)
        if field and get_origin(field.annotation) is list:
            values[name] = given
            continue
        if field and len(given) > 1:
            raise Invalid(name, "given more than once")
        values[name] = given[0]
    values |= path
    return _validated(lambda: model.model_validate(values), lambda: values, "parameter")


def json_model[M: BaseModel](model: type[M], body: bytes) -> M:
    """A JSON body as a model. Raises Invalid with the path of the first name that does not fit.

    No value is converted to another type, except by the types of params.py.
    """
    return _validated(lambda: model.model_validate_json(body, strict=True), lambda: from_json(body), "field")


def is_gzipped(content_encoding: str) -> bool:
    """Whether a Content-Encoding says gzip (RFC 9110 8.4). Raises UnsupportedCoding for another coding, or two."""
    names = [name.strip() for name in content_encoding.lower().split(",")]
    codings = [name for name in names if name not in {"", "identity"}]
    if len(codings) > 1 or not {"gzip", "x-gzip"}.issuperset(codings):
        raise UnsupportedCoding(f"Content-Encoding {content_encoding[:60]} is not supported; send gzip, or none")
    return bool(codings)


def inflated(body: bytes, limit: int) -> bytes:
    """The text of a gzip body of one member. Raises TooLarge above `limit` bytes, and Invalid if it is not gzip."""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = member.decompress(body, limit + 1)
    except zlib.error as error:
        raise Invalid("body", f"not gzip: {error}") from error
    if len(text) > limit:
        raise TooLarge(f"the body has more than {limit} bytes after inflating")
    if body and (not member.eof or member.unused_data):
        raise Invalid("body", "the gzip stream ends early, or is followed by other bytes")
    return text


def check_text(body: bytes, content_length: str | None, *, exact: bool) -> None:
    """Raises UnsupportedBody if a body that was passed on as text is not what the client sent.

    An HTTP API passes text on as a string, with U+FFFD in the place of bytes that are not UTF-8, which may keep the
    length. If the body must be `exact`, U+FFFD and an unknown length are refused too.
    """
    replaced = exact and _REPLACEMENT in body
    unknown = content_length is None
    if replaced or (exact and body and unknown) or (not unknown and content_length != str(len(body))):
        raise UnsupportedBody("not UTF-8, or of unknown length; send it as application/octet-stream")


def _validated[M](validate: Callable[[], M], given: Callable[[], Any], noun: str) -> M:
    """The model; `given` is the plain value that was validated, and is called only if that does not fit.

    `noun` is what its names are called.
    """
    try:
        return validate()
    except ValidationError as error:
        first = error.errors()[0]
        # Without a location, the body may not be JSON at all.
        names = _client_names(first, given()) if first["loc"] else ()
        raise Invalid(".".join(names) or "request", _reason(first, noun)) from error


def _client_names(error: ErrorDetails, value: Any) -> Sequence[str]:
    """The steps of an error's location that lead through the client's own value.

    pydantic adds steps of its own, such as the name of a union's member, a validator, or [key].
    """
    names = []
    last = len(error["loc"]) - 1
    for index, step in enumerate(error["loc"]):
        match value:
            case dict() if step in value:
                value = value[step]
            case list() if isinstance(step, int) and step < len(value):
                value = value[step]
            case _ if index < last or error["type"] != "missing":
                continue
        names.append(str(step))
    return names


def _reason(error: ErrorDetails, noun: str) -> str:
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return f"is not a {noun} of this request"
        case "string_pattern_mismatch":
            return f"must match {error['ctx']['pattern']}"
        case "json_invalid" if not error["input"]:
            return "a body of JSON is required"
    return error["msg"].removeprefix("Value error, ")
