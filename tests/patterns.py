"""Filter patterns of CloudWatch Logs for lines of JSON: the part that template.yaml uses, which no emulator knows.

docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import re
from fnmatch import fnmatchcase
from typing import Any, Final

_TOKEN: Final = re.compile(r'\s*(\(|\)|&&|\|\||\$[\w.]+|!=|>=|=|"[^"]*"|\d+)\s*')


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """Whether a pattern `{ … }` takes a line. Raises ValueError for what is not known here."""
    if not (pattern.startswith("{") and pattern.endswith("}")):
        raise ValueError(pattern)
    tokens, rest = [], pattern[1:-1]
    while rest:
        if not (found := _TOKEN.match(rest)):
            raise ValueError(rest)
        tokens.append(found[1])
        rest = rest[found.end() :]
    result = _any(tokens, line)
    if tokens:
        raise ValueError(tokens)
    return result


def _any(tokens: list[str], line: dict[str, Any]) -> bool:
    result = _all(tokens, line)
    while tokens[:1] == ["||"]:
        tokens.pop(0)
        result = _all(tokens, line) or result
    return result


def _all(tokens: list[str], line: dict[str, Any]) -> bool:
    result = _one(tokens, line)
    while tokens[:1] == ["&&"]:
        tokens.pop(0)
        result = _one(tokens, line) and result
    return result


def _one(tokens: list[str], line: dict[str, Any]) -> bool:
    if (selector := tokens.pop(0)) == "(":
        result = _any(tokens, line)
        if tokens.pop(0) != ")":
            raise ValueError(tokens)
        return result
    operator, wanted, found = tokens.pop(0), tokens.pop(0), _field(selector, line)
    if wanted.startswith('"'):
        equal = isinstance(found, str) and fnmatchcase(found, wanted.strip('"'))
        # A field that a line lacks takes no comparison.
        return {"=": equal, "!=": found is not None and not equal}[operator]
    if not isinstance(found, int):
        return False
    return {"=": found == int(wanted), "!=": found != int(wanted), ">=": found >= int(wanted)}[operator]


def _field(selector: str, line: dict[str, Any]) -> Any:
    value: Any = line
    for name in selector.removeprefix("$.").split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
