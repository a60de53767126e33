"""The OpenAPI document: every route of template.yaml, and nothing else."""

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from types import FunctionType
from typing import Any, Final, TypeAliasType, cast, get_origin, get_type_hints

from pydantic import TypeAdapter

from local.template import Route, Template
from logkeep import logid
from logkeep.identity.authorization import BASIC, BEARER
from logkeep.identity.credentials import Access, Kind, Scope
from logkeep.params import Segment
from logkeep.web.app import App
from logkeep.web.delivery import Content
from openapi.handlers import ANSWER_HEADERS, Use, media_of, use_of
from openapi.lines import LINES
from openapi.refusals import Refusal, codes_of, refusals_of

type Json = dict[str, Any]

_REF: Final = "#/components/schemas/"
# As pydantic writes constraints beside a named type.
_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_TAGS: Final = {  # by the folder in logkeep/apis that a handler imports from
    "kuscia": "Kuscia",
    "modelarts": "ModelArts",
    "build": "CodeArts Build",
    "check": "CodeArts Check",
    "css": "CSS",
    "logs": "Logkeep",
    "keystone": "Identity",
}
_REQUEST_HEADERS: Final[Mapping[str, tuple[str, Json, str]]] = {
    "accept": ("Accept", {"type": "string"}, "The content type of the answer, one of those below."),
    "content-encoding": (
        "Content-Encoding",
        {"type": "string", "enum": ["gzip", "identity"]},
        "`gzip` if the body is compressed.",
    ),
    "idempotency-key": (
        "Idempotency-Key",
        {"type": "string", "maxLength": 256},
        "Requests with equal bodies and different keys are different requests.",
    ),
    "if-none-match": ("If-None-Match", {"type": "string"}, "The ETag of a file that the client has."),
    "last-event-id": ("Last-Event-ID", {"type": "string", "maxLength": 64}, "As `cursor`, of a `text/event-stream`."),
    "logkeep-labels": (
        "Logkeep-Labels",
        {"type": "string", "examples": ["service=web,env=prod"]},
        "Labels of the log: `key=value,…`, values percent-encoded. Set by the first append, and never changed.",
    ),
    "range": ("Range", {"type": "string", "examples": ["bytes=0-1023"]}, "Bytes of the log as they were written."),
    "logkeep-retention-days": (
        "Logkeep-Retention-Days",
        {"type": "integer", "minimum": 1, "maximum": 36500},
        "Days after its last append for which the log is kept. Set by the first append, and never changed.",
    ),
    "logkeep-timezone": (
        "Logkeep-Timezone",
        {"type": "string", "examples": ["Europe/Berlin"]},
        "IANA name of the time zone in which the log's times without a zone are read. Counts with the first append.",
    ),
}
_NOT_DOCUMENTED: Final = {"content-type"}  # it is the body's
_INTRODUCTION: Final = """\
Logkeep answers five published log APIs and adds writing, backups and search.

Every answer carries `X-Request-Id`. Every other path and method is a 404 with the code `APIGW.0101`. API Gateway itself
answers some requests with `{"message": …}`: 413 above 10 MB, 429 when the account is throttled, 500 and 503 when a
function cannot start or takes longer than 30 seconds. Function URLs do the same from 6 MB on.

Logkeep's own routes refuse a query parameter that they do not know, the others ignore it. A parameter that is given
twice is refused, unless it is a list. JSON is accepted whatever the `Content-Type`, except by Kuscia's route.
"""


@dataclass(frozen=True)
class Operation:
    """A route with its app and its handler."""

    route: Route
    app: App
    handler: FunctionType
    streams: bool

    @property
    def path(self) -> str:
        return self.route.path.replace("+}", "}")

    @cached_property
    def use(self) -> Use:
        return use_of(self.handler)

    @property
    def tag(self) -> str:
        rooms = re.findall(r"^from logkeep\.apis\.(\w+)", _source_of(self.handler), re.MULTILINE)
        return next(_TAGS[each] for each in rooms if each in _TAGS)

    @property
    def is_alone(self) -> bool:
        """Whether its function has no other handler, so that the module's docstring is about this one."""
        return len({each.func for each in self.app._static_routes + self.app._dynamic_routes}) == 1

    @property
    def summary(self) -> str:
        module = importlib.import_module(self.handler.__module__).__doc__ or ""
        about = module.partition(": ")[2]
        own = "" if (self.handler.__doc__ or "").startswith("Raises") else self.handler.__doc__
        text = own or (about if self.is_alone else self.use.first_callee)
        first = re.split(r"(?<=\.)\s|;|\n\n| \(docs/", text.strip())[0].rstrip(".")
        return first[:1].upper() + first[1:].replace("\n", " ")

    @property
    def description(self) -> str:
        """The docstrings of the handler and of what it calls, with the codes of errors in the place of their names."""
        docstrings = (inspect.cleandoc(each or "") for each in (self.handler.__doc__, self.use.first_callee))
        text = "\n\n".join(dict.fromkeys(filter(None, docstrings)))
        codes = codes_of(self.app)
        text = re.sub(r"\b[A-Z]\w+\b", lambda found: codes.get(found[0], found[0]), text)
        return re.sub(r"\bRaises\b", "Answers", text)


def operations(template: Template) -> list[Operation]:
    """The routes of a template with their handlers, in the order of paths. Raises LookupError for one without."""
    streamed = {each.key for each in template.streamed_routes}
    found = [
        _operation(each, template.functions[each.function].folder, each.key in streamed)
        for each in template.routes
        if each.path
    ]
    return sorted(found, key=lambda each: (each.path, each.route.method))


def _operation(route: Route, folder: str, streams: bool) -> Operation:
    app: App = importlib.import_module(f"functions.{folder}.app").app
    path = re.sub(r"\{\w+\+?\}", "x", route.path)
    for each in app._static_routes + app._dynamic_routes:
        if route.method in each.method and each.rule.match(path):
            return Operation(route, app, cast(FunctionType, each.func), streams)
    raise LookupError(f"{route.key} has no handler")


def document(template: Template) -> Json:
    """The whole document."""
    routes = operations(template)
    schemas = _Schemas(routes)
    responses: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    names: set[str] = set()
    for each in routes:
        name = each.handler.__name__
        if name in names:  # a handler of several paths
            first = each.path.split("/")[1]
            name = next(other for n in ("", *range(2, 9)) if (other := f"{name}_{first}{n and f'_{n}'}") not in names)
        names.add(name)
        paths.setdefault(each.path, {})[each.route.method.lower()] = _described(each, name, schemas, responses)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Logkeep",
            "version": version("logkeep"),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [_server("{api}.execute-api.{region}.amazonaws.com", "The HTTP API"), _LOCAL],
        "tags": [{"name": name, "description": _room(room)} for room, name in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.used_by([paths, responses]) | _ERRORS,
            "responses": dict(sorted(responses.items())),
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in sorted({**ANSWER_HEADERS, "X-Request-Id": "The id of the request."}.items())
            },
            "securitySchemes": _SECURITY,
        },
    }


def _server(host: str, description: str) -> Json:
    names = re.findall(r"\{(\w+)\}", host)
    values = {"region": "us-east-1"}
    return {
        "url": f"https://{host}",
        "description": description,
        "variables": {name: {"default": values.get(name, name)} for name in names},
    }


_LOCAL: Final = {"url": "http://127.0.0.1:8787", "description": "The service of `make run`"}
_STREAM: Final = _server("{url}.lambda-url.{region}.on.aws", "The function URL, which streams the answer")
_SECURITY: Final[Json] = {
    Kind.TOKEN: {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A token of logkeep-admin, or of `POST /v3/auth/tokens`.",
    },
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "description": "The same tokens. For Kuscia's API also its own, but none of a login.",
    },
    BASIC: {
        "type": "http",
        "scheme": "basic",
        "description": "The same tokens as passwords, with any user name.",
    },
    Kind.ACCESS_KEY: {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": (
            "A signature with an access key, as the vendors' SDKs make it: `SDK-HMAC-SHA256 Access=…, "
            "SignedHeaders=…, Signature=…`, with the header `X-Sdk-Date`."
        ),
    },
    Kind.KUSCIA_TOKEN: {"type": "apiKey", "in": "header", "name": "Token", "description": "A token for Kuscia's API."},
}
_ERROR: Final[Json] = {
    "type": "object",
    "properties": {"error_code": {"type": "string"}, "error_msg": {"type": "string"}},
    "required": ["error_code", "error_msg"],
}
_ERRORS: Final[Json] = {
    "Error": _ERROR,
    "KeystoneError": {
        "type": "object",
        "properties": {
            **_ERROR["properties"],
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "integer"},
                    "title": {"type": "string"},
                    "message": {"type": "string"},
                },
                "required": ["code", "title", "message"],
            },
        },
        "required": ["error_code", "error_msg", "error"],
    },
}


def _described(each: Operation, name: str, schemas: "_Schemas", responses: dict[str, Json]) -> Json:
    use = each.use
    operation: Json = {"operationId": name, "tags": [each.tag], "summary": each.summary}
    if each.description:
        operation["description"] = each.description
    if each.streams:
        operation["servers"] = [_server("{api}.execute-api.{region}.amazonaws.com", "The HTTP API"), _STREAM, _LOCAL]
    operation["security"] = _security(each.app)
    operation["parameters"] = list(_parameters(each, schemas))
    if body := _body(use, schemas):
        operation["requestBody"] = body
    operation["responses"] = _responses(each, schemas, responses)
    return operation


def _security(app: App) -> list[Json]:
    if app._needed is Access.EVERYONE:
        return []
    scopes = [str(app._needed)] if isinstance(app._needed, Scope) else []
    kinds = [app._token, BEARER, BASIC, *([Kind.ACCESS_KEY] if app._token is Kind.TOKEN else [])]
    return [{str(kind): scopes} for kind in kinds]


def _parameters(each: Operation, schemas: "_Schemas") -> Iterator[Json]:
    """The parameters of the path, of the query, and the headers."""
    in_query = {name: schema for model in each.use.queries for name, schema in schemas.parameters(model).items()}
    hints = get_type_hints(each.handler, include_extras=True)
    names = re.findall(r"\{(\w+)\}", each.path)
    for name in names:
        hint = hints.get(name)
        if name in in_query:
            schema, _ = in_query[name]
        elif name == "log_id":
            schema = {"type": "string", "maxLength": logid.LOG_ID_MAX, "pattern": logid.pattern()}
        else:
            schema = schemas.of(hint if isinstance(hint, TypeAliasType) else Segment)
        shown = {"name": name, "in": "path", "required": True, "schema": schema}
        if "{" + name + "+}" in each.route.path:
            shown["description"] = "It may contain slashes, as they are or as `%2F`."
        yield shown
    for name, (schema, required) in in_query.items():
        if name not in names:
            description = schema.pop("description", "")
            shown = {"name": name, "in": "query", "required": required, "schema": schema}
            yield shown | ({"description": description} if description else {})
    for header in sorted(each.use.headers - _NOT_DOCUMENTED):
        name, schema, description = _REQUEST_HEADERS[header]
        yield {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


def _body(use: Use, schemas: "_Schemas") -> Json:
    if use.bodies:
        (model,) = use.bodies
        return {
            "required": not use.body_is_optional,
            "content": {"application/json": {"schema": schemas.of(model)}},
        }
    if use.takes_bytes:
        return {"required": False, "content": {"application/octet-stream": {}, "application/gzip": {}}}
    return {}


def _responses(each: Operation, schemas: "_Schemas", components: dict[str, Json]) -> Json:
    found: dict[int, Json] = {}
    for status, types in each.use.answers.items():
        content: Json = {}
        for body in sorted(types, key=str):
            if get_origin(body) is Content:
                content |= {media: _lines_or_bytes(media, schemas) for media in media_of(body)}
            elif body is not type(None):
                one = content.setdefault("application/json", {}).setdefault("schema", {"anyOf": []})
                one["anyOf"].append(schemas.of(body))
        for media in content.values():
            if len(alternatives := media.get("schema", {}).get("anyOf", [])) == 1:
                media["schema"] = alternatives[0]
        found[status] = _response(HTTPStatus(status).phrase, each.use.sent[status], content)
    refused: dict[int, list[Refusal]] = {}
    for refusal in refusals_of(each.app, each.path, each.use.errors):
        refused.setdefault(refusal.status, []).append(refusal)
    for status, refusals in refused.items():
        if status in found:  # Kuscia's
            found[status]["description"] += f". Errors are in `status.code`:\n\n{_codes(refusals)}"
            continue
        found[status] = {"$ref": f"#/components/responses/{_component(status, refusals, components)}"}
    return {str(status): response for status, response in sorted(found.items())}


def _response(description: str, headers: Iterable[str], content: Json) -> Json:
    response: Json = {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*headers, "X-Request-Id"})},
    }
    return response | ({"content": content} if content else {})


def _component(status: int, refusals: list[Refusal], components: dict[str, Json]) -> str:
    """The name of the component that describes these refusals, which is added if it is new."""
    codes = sorted({each.code for each in refusals if each.code})
    parts = [str(status), *codes]
    headers = {header for each in refusals for header in each.headers}
    first = refusals[0]
    content: Json = {}
    if codes and first.content_type.startswith("application/json"):
        base = "KeystoneError" if first.keystone else "Error"
        only = {"type": "object", "properties": {"error_code": {"enum": codes}}}
        content = {first.content_type: {"schema": {"allOf": [{"$ref": _REF + base}, only]}}}
    if "status" in first.code or codes[:1] == ["11101"]:
        content = {first.content_type: {"x-itemSchema": {"$ref": _REF + "KusciaMessage"}}}
    described = f"{HTTPStatus(status).phrase}\n\n{_codes(refusals)}" if codes else HTTPStatus(status).phrase
    response = _response(described, headers, content)
    stem = name = "-".join(parts)
    number = 1
    while components.setdefault(name, response) != response:
        number += 1
        name = f"{stem}_{number}"
    return name


def _codes(refusals: list[Refusal]) -> str:
    return "\n".join(dict.fromkeys(f"- `{each.code}` {each.text}" for each in refusals))


def _lines_or_bytes(media: str, schemas: "_Schemas") -> Json:
    """Of an answer of lines, what each line is. OpenAPI 3.1 has no keyword for that; 3.2 calls it itemSchema."""
    return {"x-itemSchema": schemas.of(LINES[media])} if media in LINES else {}


class _Schemas:
    """The schemas of all types of a document, which share their definitions."""

    def __init__(self, routes: Iterable[Operation]) -> None:
        inputs: dict[str, tuple[Any, Any]] = {_key(Segment): (Segment, "validation")}
        inputs |= {_key(each): (each, "serialization") for each in LINES.values()}
        for each in routes:
            taken: list[Any] = [*each.use.queries, *each.use.bodies]
            hints = get_type_hints(each.handler, include_extras=True)
            taken += [hint for name, hint in hints.items() if isinstance(hint, TypeAliasType) and name != "return"]
            inputs |= {_key(model): (model, "validation") for model in taken}
            for body in {body for types in each.use.answers.values() for body in types}:
                if get_origin(body) is not Content and body is not type(None):
                    inputs[_key(body)] = (body, "serialization")
        found, shared = TypeAdapter.json_schemas(
            [(key, mode, TypeAdapter(kind)) for key, (kind, mode) in inputs.items()], ref_template=_REF + "{model}"
        )
        self._definitions: dict[str, Json] = shared.get("$defs", {})
        self._found = {key: self._tidy(schema) for (key, _), schema in found.items()}
        self._all = {
            name.lstrip("_"): self._tidy(each) for name, each in self._definitions.items() if _is_component(each)
        }

    def of(self, kind: Any) -> Json:
        """The schema of a type, with references to components."""
        found: Json = self._found[_key(kind)]
        return found

    def parameters(self, model: Any) -> dict[str, tuple[Json, bool]]:
        """The schema of each field of a query's model, and whether it is required."""
        schema = self.of(model)
        whole = self._all[schema["$ref"].removeprefix(_REF)] if "$ref" in schema else schema
        required = whole.get("required", [])
        return {
            name: (_without_null(each), name in required)
            for name, each in whole.get("properties", {}).items()
            if each.get("type") != "null"  # a name that the model has only to refuse it
        }

    def used_by(self, value: Any) -> dict[str, Json]:
        """The components to which a part of the document refers, and those to which they do."""
        used: dict[str, Json] = {}
        waiting = set(_references(value)) - _ERRORS.keys()
        while waiting:
            name = waiting.pop()
            used[name] = self._all[name]
            waiting |= set(_references(self._all[name])) - used.keys()
        return dict(sorted(used.items()))

    def _tidy(self, value: Any) -> Any:
        """Without titles, with short definitions in their place and the keywords of JSON Schema."""
        if isinstance(value, list):
            return [self._tidy(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value and not _is_component(target := self._definitions[value["$ref"].removeprefix(_REF)]):
            value = {**target, **{name: each for name, each in value.items() if name != "$ref"}}
            return self._tidy(value)
        if "$ref" in value:
            value = value | {"$ref": _REF + value["$ref"].removeprefix(_REF).lstrip("_")}
        return {
            _KEYWORDS.get(name, name): {key: self._tidy(each) for key, each in member.items()}
            if name == "properties"
            else self._tidy(member)
            for name, member in value.items()
            if name != "title" or not isinstance(member, str)
        }


def _key(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}"


def _is_component(schema: Json) -> bool:
    return schema.get("type") == "object" and "properties" in schema


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, each in schema.items():
            if name == "$ref" and each.startswith(_REF):
                yield each.removeprefix(_REF)
            else:
                yield from _references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _without_null(schema: Json) -> Json:
    """The schema of a parameter: in a query, there is no null."""
    kept = {name: each for name, each in schema.items() if not (name == "default" and each is None)}
    if "anyOf" in kept:
        alternatives = [each for each in kept.pop("anyOf") if each != {"type": "null"}]
        kept = (alternatives[0] | kept) if len(alternatives) == 1 else kept | {"anyOf": alternatives}
    return kept


def _source_of(function: FunctionType) -> str:
    return inspect.getsource(importlib.import_module(function.__module__))


def _room(room: str) -> str:
    """What a folder of logkeep/apis says of itself."""
    return (
        (importlib.import_module(f"logkeep.apis.{room}").__doc__ or "")
        .partition(": ")[2]
        .partition(" (")[0]
        .rstrip(".")
    )
