"""Labels: what a log's producer says about it with the first append, and what its id says (docs/write-a-log.md)."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from logkeep.errors import Invalid
from logkeep.logid import LogId

HEADER: Final = "Logkeep-Labels"
COUNT_MAX: Final = 10
BYTES_MAX: Final = 400  # of keys and values together, in UTF-8
VALUE_MAX: Final = 128  # characters
PAIR: Final = rf"^[a-zA-Z_][a-zA-Z0-9_]{{0,62}}=[\s\S]{{1,{VALUE_MAX}}}$"  # key=value, as queries have it
_KEY: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
_KEY_RULE: Final = "must be a letter or _, and up to 62 more letters, digits and _"
_ENCODED: Final = re.compile(r"(?:[!-$&-+\--~]|%[0-9A-Fa-f]{2})*")  # visible ASCII but for the comma

type Labels = Mapping[str, str]
NONE: Final[Labels] = {}


def parse(header: str, log_id: LogId) -> Labels:
    """The labels of a header `key=value,…` with percent-encoded values, without those that the id of the log says.

    Raises Invalid.
    """
    found: dict[str, str] = {}
    for each in filter(None, (member.strip(" \t") for member in header.split(","))):
        key, _, encoded = each.partition("=")
        _check(key, encoded)
        if key in found:
            raise Invalid(HEADER, f"{key} is given twice")
        found[key] = _value(key, encoded)
    derived = derived_from(log_id)
    for key in found.keys() & derived.keys():
        if found[key] != derived[key]:
            raise Invalid(HEADER, f"{key} is {derived[key]} by the log's id")
        del found[key]
    if len(found) > COUNT_MAX:
        raise Invalid(HEADER, f"a log has at most {COUNT_MAX} labels, and these are {len(found)}")
    if (size := sum(len(key) + len(value.encode()) for key, value in found.items())) > BYTES_MAX:
        raise Invalid(HEADER, f"keys and values have {size} bytes together, and may have {BYTES_MAX}")
    return dict(sorted(found.items()))


def derived_from(log_id: LogId) -> Labels:
    """The labels that every log has by its id: its kind and, but for kind app, the parts of its id by their names."""
    return {"kind": log_id.kind, **log_id.parts}


def _check(key: str, encoded: str) -> None:
    if not _KEY.fullmatch(key):
        raise Invalid(HEADER, f"{key[:80]!r} is no key: it {_KEY_RULE}")
    if not _ENCODED.fullmatch(encoded):
        raise Invalid(HEADER, f"the value of {key} must be percent-encoded: blanks, commas, % and what is not ASCII")


def _value(key: str, encoded: str) -> str:
    try:
        value = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError as error:
        raise Invalid(HEADER, f"the value of {key} is not UTF-8") from error
    if not 1 <= len(value) <= VALUE_MAX:
        raise Invalid(HEADER, f"the value of {key} has {len(value)} characters, and must have 1 to {VALUE_MAX}")
    if any(ord(character) < ord(" ") or "\x7f" <= character <= "\x9f" for character in value):
        raise Invalid(HEADER, f"the value of {key} holds a control character")
    return value
