"""What a route takes, answers and refuses, read from the source of its handler and of what that calls with the app.

| in the source | in the document |
|---|---|
| `app.query(Model)`, `app.json_body(Model)`, `Model.from_json(app.body(…))` | parameters, body |
| `app.body(…)` | a body of bytes |
| `app.header("…")`, `app.headers.get("…")` | headers of the request |
| `app.is_gzipped`, `app.inflated_body(…)`, `app.json_body(…)` | the header Content-Encoding |
| `-> Answer[Body]`, with the statuses of the answers in that function | answers |
| `{"ETag": …}` in a function that answers | headers of the answer |
| `raise Error(…)`, and the names after "Raises" in a docstring | errors |
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from types import FunctionType, UnionType
from typing import Any, Final, Literal, TypeAliasType, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from logkeep import errors
from logkeep.errors import LogkeepError
from logkeep.web.app import Answer, App
from logkeep.web.delivery import Content

_RAISES: Final = re.compile(r"\bRaises?\b(.*)", re.DOTALL)
_NAME: Final = re.compile(r"\b[A-Z]\w+\b")
_READS: Final = {"query", "json_body", "inflated_body", "body", "header", "log_id", "segment"}  # of App
_STATUS_AT: Final = {"answer_json": 1, "answer_document": 1, "Answer": 0}  # the place of the status in a call


@dataclass(slots=True)
class Use:
    """What is found in the source of one route. Answers are types of bodies by status."""

    queries: list[type[BaseModel]] = field(default_factory=list)
    bodies: list[type[BaseModel]] = field(default_factory=list)
    takes_bytes: bool = False
    body_is_optional: bool = False
    headers: set[str] = field(default_factory=set)
    answers: dict[int, set[Any]] = field(default_factory=dict)
    sent: dict[int, set[str]] = field(default_factory=dict)
    errors: set[type[LogkeepError]] = field(default_factory=set)
    first_callee: str = ""  # docstring of the first function that gets the app


def use_of(handler: FunctionType) -> Use:
    """What the route of a handler takes, answers and refuses."""
    use = Use()
    whole = _types(_body_of(handler))
    contents = {each for each in whole if get_origin(each) is Content}
    for function in _reached(handler, set()):
        if function is not handler and not use.first_callee and _takes_app(function):
            use.first_callee = inspect.getdoc(function) or ""
        use.errors |= set(_errors(function))
        _add_reads(use, function)
        found: set[Any] = set()
        for each in _types(_body_of(function)):
            found |= contents if each is bytes else whole if isinstance(each, TypeVar) else {each}
        if Any in found or not found:
            continue
        headers = {each for each in _strings(function) if each in ANSWER_HEADERS}
        for status in _statuses(function):
            use.answers.setdefault(status, set()).update(found)
            use.sent.setdefault(status, set()).update(headers)
    for status, found in use.answers.items():
        if found & contents:
            use.sent[status].add("ETag")
    return use


ANSWER_HEADERS: Final = {
    "Accept-Ranges": "`bytes`.",
    "Content-Disposition": "The name of the file.",
    "ETag": "Equal for equal bytes, except in answers that are followed.",
    "Location": "The URL of the file, as `url` in the body.",
    "Content-Range": "The bytes of a 206, and how many there are.",
    "Logkeep-Complete": "Whether the answer is all that the query wants, and nothing of it is lost.",
    "Logkeep-Cursor": "Where the next answer continues.",
    "Logkeep-Interval": "Seconds after which the producer should append again.",
    "Logkeep-Lost": "Text that is lost: offsets and bytes, as `1048576+2048`.",
    "Logkeep-Matched": "How many lines, or log records, match; absent while that is not known.",
    "Logkeep-More": "Whether there may be more after the cursor.",
    "Logkeep-Scanned-Bytes": "The bytes of text that were read.",
    "Range": "`bytes=0-{end}`: `end` is the next offset.",
    "Retry-After": "Seconds after which the same request may succeed.",
    "WWW-Authenticate": "The schemes that prove a caller. AWS may rename it to `x-amzn-remapped-www-authenticate`.",
    "X-Subject-Token": "The token.",
}


def _reached(function: FunctionType, seen: set[FunctionType]) -> Iterator[FunctionType]:
    """The function, and those that it calls with the app or for an answer, each once."""
    if function in seen:
        return
    seen.add(function)
    yield function
    for call in _calls(function):
        callee = _value(function, call.func)
        if isinstance(callee, FunctionType) and (_gets_app(call) or _answers(callee)):
            yield from _reached(callee, seen)


@cache
def _tree(function: FunctionType) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _calls(function: FunctionType) -> list[ast.Call]:
    return [node for node in ast.walk(_tree(function)) if isinstance(node, ast.Call)]


def _strings(function: FunctionType) -> list[str]:
    return [
        node.value
        for node in ast.walk(_tree(function))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _value(function: FunctionType, node: ast.expr) -> Any:
    """What a name, or an attribute of one, is in the module of a function; None if it is not known there."""
    match node:
        case ast.Name(name):
            return function.__globals__.get(name)
        case ast.Attribute(owner, name):
            return getattr(_value(function, owner), name, None)
    return None


def _is_app(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "app"


def _gets_app(call: ast.Call) -> bool:
    return any(map(_is_app, call.args))


def _takes_app(function: FunctionType) -> bool:
    return "app" in inspect.signature(function).parameters


def _answers(function: FunctionType) -> bool:
    return function.__module__.startswith("logkeep.") and _body_of(function) is not None


@cache
def _body_of(function: FunctionType) -> Any:
    """The B of a function that returns Answer[B]; None if it returns something else."""
    returned = get_type_hints(function, include_extras=True).get("return")
    if returned is Answer:
        return Any
    return get_args(returned)[0] if get_origin(returned) is Answer else None


def _types(body: Any) -> set[Any]:
    """The members of a type that may be a union or the name of one."""
    if isinstance(body, TypeAliasType):
        return _types(body.__value__)
    if get_origin(body) in {Union, UnionType}:
        return {member for each in get_args(body) for member in _types(each)}
    return set() if body is None else {body}


def media_of(content: Any) -> list[str]:
    """The content types of a Content."""
    (media,) = get_args(content)
    if get_origin(media) is not Literal:
        raise TypeError(f"{content} names no content types")
    return [str(each) for each in get_args(media)]


def _statuses(function: FunctionType) -> set[int]:
    """The statuses of the answers that a function makes itself."""
    found: set[int] = set()
    named = {
        int(HTTPStatus[node.attr])
        for node in ast.walk(_tree(function))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "HTTPStatus"
    }
    for call in _calls(function):
        name = call.func.attr if isinstance(call.func, ast.Attribute) and _is_app(call.func.value) else ""
        if isinstance(call.func, ast.Name) and call.func.id == "Answer":
            name = "Answer"
        if name == "stream" or (name in _STATUS_AT and len(call.args) <= (place := _STATUS_AT[name])):
            found.add(200)
        elif name in _STATUS_AT:
            match call.args[place]:
                case ast.Attribute(ast.Name("HTTPStatus"), status):
                    found.add(int(HTTPStatus[status]))
                case _:
                    found |= named
    return found


def _add_reads(use: Use, function: FunctionType) -> None:
    parsed = set()
    attributes = [node for node in ast.walk(_tree(function)) if isinstance(node, ast.Attribute) and _is_app(node.value)]
    if {"is_gzipped", "inflated_body", "json_body"} & {each.attr for each in attributes}:
        use.headers.add("content-encoding")
    for call in _calls(function):
        if not isinstance(call.func, ast.Attribute):
            continue
        owner, name = call.func.value, call.func.attr
        arguments = [_value(function, each) for each in call.args]
        constants = [each.value for each in call.args if isinstance(each, ast.Constant)]
        if name == "from_json":
            parsed |= {each for each in ast.walk(call) if isinstance(each, ast.Call)}
            use.bodies.append(_value(function, owner))
        elif name == "get" and isinstance(owner, ast.Attribute) and owner.attr == "headers" and _is_app(owner.value):
            use.headers.add(str(constants[0]))
        elif not _is_app(owner) or name not in _READS:
            continue
        elif name == "query":
            use.queries.append(arguments[0])
        elif name == "json_body":
            use.bodies.append(arguments[0])
            use.body_is_optional = any(each.arg == "optional" for each in call.keywords)
        elif name == "body" and call not in parsed:
            use.takes_bytes = True
        elif name == "header":
            use.headers.add(str(constants[0]))
        if _is_app(owner) and name in _READS:
            use.errors |= set(_named_errors(getattr(App, name)))


def _errors(function: FunctionType) -> Iterator[type[LogkeepError]]:
    """The errors that a function raises, or says that it raises."""
    yield from _named_errors(function)
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            kind = _value(function, node.exc.func)
            if isinstance(kind, type) and issubclass(kind, LogkeepError):
                yield kind


def _named_errors(function: Callable[..., Any]) -> Iterator[type[LogkeepError]]:
    said = _RAISES.search(inspect.getdoc(function) or "")
    for name in _NAME.findall(said[1]) if said else ():
        kind = getattr(function, "__globals__", {}).get(name) or getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, LogkeepError):
            yield kind
