"""docs/api.html: the document as one page that loads nothing, not even a script."""

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

type Json = dict[str, Any]

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --code: #06a; }
@media (prefers-color-scheme: dark) { :root { --code: #6cf; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { margin-bottom: 0; } h2 { border-bottom: 1px solid var(--line); margin-top: 3rem; }
h4 { margin: 1.2rem 0 .3rem; }
nav ul { columns: 20rem; padding-left: 1.2rem; font-size: .9rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
details > div { padding: 0 1rem 1rem; }
summary { cursor: pointer; padding: .5rem 1rem; background: var(--soft); }
summary b { display: inline-block; min-width: 4.5rem; }
summary span { display: block; padding-left: 4.5rem; font-size: .9rem; }
code { font: .9em ui-monospace, monospace; color: var(--code); overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { border: 1px solid var(--line); padding: .3rem .5rem; text-align: left; vertical-align: top; }
td p { margin: 0; } td ul { margin: .2rem 0; padding-left: 1.2rem; }
"""
_REF: Final = "#/components/schemas/"
_LIMITS: Final = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "{} characters or more"),
    ("maxLength", "{} characters or fewer"),
    ("minItems", "{} or more"),
    ("maxItems", "{} or fewer"),
)


def page(document: Json) -> str:
    """The whole page."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    info = document["info"]
    body = "\n".join(_body(document))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{_text(info["title"])} API</title>
<style>{_STYLE}</style>
<h1>{_text(info["title"])} API</h1>
<p>Version {_text(info["version"])}, <a href="openapi.json">OpenAPI {_text(document["openapi"])}</a></p>
{body}
</html>
"""


def _body(document: Json) -> Iterator[str]:
    operations = [
        (path, method.upper(), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    components = document["components"]
    yield _prose(document["info"]["description"])
    yield "<nav><ul>"
    for tag in document["tags"]:
        yield f'<li><a href="#{_anchor(tag["name"])}">{_text(tag["name"])}</a>: {_text(tag["description"])}</li>'
    yield '<li><a href="#proofs">Proofs of a caller</a></li><li><a href="#schemas">Schemas</a></li></ul></nav>'
    for tag in document["tags"]:
        yield f'<h2 id="{_anchor(tag["name"])}">{_text(tag["name"])}</h2>'
        for path, method, operation in operations:
            if tag["name"] in operation["tags"]:
                yield from _operation(path, method, operation, components)
    yield '<h2 id="proofs">Proofs of a caller</h2>'
    schemes = components["securitySchemes"].items()
    yield _table(
        ("name", "header", ""),
        (
            (_code(name), _code(each.get("name", "Authorization")), _prose(each["description"]))
            for name, each in schemes
        ),
    )
    yield '<h2 id="schemas">Schemas</h2>'
    for name, schema in components["schemas"].items():
        yield f'<h4 id="schema-{_anchor(name)}">{_text(name)}</h4>{_prose(schema.get("description", ""))}'
        yield _members(schema)


def _operation(path: str, method: str, operation: Json, components: Json) -> Iterator[str]:
    yield f'<details id="{_anchor(operation["operationId"])}"><summary><b>{method}</b>{_code(path)}'
    yield f"<span>{_text(operation['summary'])}</span></summary><div>"
    yield _prose(operation.get("description", ""))
    proofs = [
        _code(kind) + (f" with the scope {_code(', '.join(scopes))}" if scopes else "")
        for each in operation["security"]
        for kind, scopes in each.items()
    ]
    yield f"<p>Proof: {' or '.join(proofs) or 'none'}.</p>"
    if any("lambda-url" in each["url"] for each in operation.get("servers", [])):
        yield "<p>Also at a function URL, which streams the answer.</p>"
    if operation["parameters"]:
        yield "<h4>Parameters</h4>"
        yield _table(
            ("name", "in", "type", ""),
            (
                (
                    _name(each["name"], each["required"]),
                    each["in"],
                    _kind(each["schema"]),
                    _prose(each.get("description", "")),
                )
                for each in operation["parameters"]
            ),
        )
    if body := operation.get("requestBody"):
        yield f"<h4>Body{'' if body['required'] else ' (optional)'}</h4>{_content(body['content'])}"
    yield "<h4>Answers</h4>"
    yield _table(
        ("status", "body", "headers"),
        (_answer(status, each, components) for status, each in operation["responses"].items()),
    )
    yield "</div></details>"


def _answer(status: str, response: Json, components: Json) -> tuple[str, str, str]:
    if "$ref" in response:
        response = components["responses"][response["$ref"].rpartition("/")[2]]
    content = _content(response.get("content", {}))
    headers = ", ".join(map(_code, response["headers"]))
    return _code(status), _prose(response["description"]) + content, headers


def _content(content: Json) -> str:
    return "".join(
        f"<p>{_code(media)} {_kind(each['schema']) if 'schema' in each else _lines(each)}</p>"
        for media, each in content.items()
    )


def _lines(media: Json) -> str:
    return f"a sequence of {_kind(media['x-itemSchema'])}" if "x-itemSchema" in media else "bytes"


def _members(schema: Json) -> str:
    required = schema.get("required", [])
    rows = (
        (
            _name(name, name in required),
            _kind(each),
            _prose(each.get("description", "")),
        )
        for name, each in schema["properties"].items()
    )
    return _table(("name", "type", ""), rows)


def _kind(schema: Json) -> str:
    """A schema in words, with links to components."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f'<a href="#schema-{_anchor(name)}">{_text(name)}</a>'
    for key, word in (("anyOf", " or "), ("allOf", " with ")):
        if key in schema:
            return word.join(filter(None, map(_kind, schema[key]))) + _default(schema)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " | ".join(_code(_shown(each)) for each in values) + _default(schema)
    kind = _text(str(schema.get("type", "")))
    if schema.get("type") == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        kind = f"object of {_kind(schema['additionalProperties'])}"
    if "properties" in schema:
        kind = "; ".join(f"{_code(name)}: {_kind(each)}" for name, each in schema["properties"].items())
    limits = [text.format(schema[name]) for name, text in _LIMITS if name in schema]
    if "pattern" in schema:
        limits.append(_code(schema["pattern"]))
    limits += [f"like {_code(each)}" for each in schema.get("examples", [])]
    return ", ".join([kind, *limits]) + _default(schema)


def _default(schema: Json) -> str:
    return f", default {_code(_shown(schema['default']))}" if schema.get("default") not in (None, [], {}) else ""


def _shown(value: Any) -> str:
    return {None: "null", True: "true", False: "false", "": '""'}.get(value, str(value)) if value != 0 else str(value)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{each}</td>' for each in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _prose(text: str) -> str:
    """Paragraphs and lists, with `code`."""
    return "".join(
        f"<ul>{''.join(f'<li>{_inline(item[2:])}</li>' for item in block.splitlines())}</ul>"
        if block.startswith("- ")
        else f"<p>{_inline(block)}</p>"
        for block in text.strip().split("\n\n")
        if block
    )


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


def _name(name: str, required: bool) -> str:
    return _code(name) + ("" if required else " <i>optional</i>")


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    return html.escape(text)


def _anchor(name: str) -> str:
    return re.sub(r"\W+", "-", name).lower()
