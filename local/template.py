"""Reads template.yaml for the local service, logkeep-admin and the tests: functions, routes and resources."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

import yaml

from local import ROOT

type Values = Mapping[str, str]

_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_PSEUDO: Final = {"AWS::Region": "us-east-1", "AWS::Partition": "aws"}
_NO_VALUE: Final = {"Ref": "AWS::NoValue"}
_SUBSTITUTED: Final = re.compile(r"\$\{([^}!]+)\}")


class _Loader(yaml.CSafeLoader):  # libyaml takes a tenth of the time
    """Reads CloudFormation's short tags as their long form: `!Ref X` is {"Ref": "X"}."""


def _long_form(loader: yaml.CSafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _long_form)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the HTTP API. `$default`, which takes all other requests, has an empty method and path."""

    function: str
    method: str
    path: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}" if self.path else "$default"

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The decoded path parameters if the request is this route's, else None.

        The path is undecoded, with or without a last slash. `{name+}` matches the rest of a path.
        """
        if not self.path:
            return {}
        if self.method not in {method, "ANY"}:
            return None
        found = re.fullmatch(self._pattern, path.removesuffix("/") or "/")
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None

    @property
    def rank(self) -> tuple[bool, bool, list[bool]]:
        """A sort key: more specific routes come first."""
        return not self.path, "+}" in self.path, ["{" in segment for segment in self.path.split("/")]

    @property
    def _pattern(self) -> str:
        pattern = re.sub(r"\\{(\w+)\\\+\\}", r"(?P<\1>.+)", re.escape(self.path))
        return re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)


@dataclass(frozen=True, slots=True)
class Failures:
    """What Lambda does with asynchronous invocations that fail; the defaults are its own."""

    retries: int = 2
    age: int = 21_600  # seconds
    dead_letters: str | None = None  # logical id of the queue

    @classmethod
    def of(cls, declared: Mapping[str, Any]) -> Self:
        target = declared.get("DestinationConfig", {}).get("OnFailure")
        return cls(
            retries=declared.get("MaximumRetryAttempts", 2),
            age=declared.get("MaximumEventAgeInSeconds", 21_600),
            dead_letters=target["Destination"]["Fn::GetAtt"][0] if target else None,
        )


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function as declared, with environment values that are not resolved."""

    name: str
    folder: str
    handler: str  # app.lambda_handler or app.stream_handler
    streams: bool  # whether it has a function URL
    timeout: int  # seconds
    memory: int  # MB
    environment: Mapping[str, Any]
    failures: Failures
    may_loop: bool  # whether it may call itself more than 16 times
    schedules: tuple[float, ...]  # seconds between two calls

    @property
    def is_worker(self) -> bool:
        """Whether orders call it."""
        return self.failures.dead_letters is not None


@dataclass(frozen=True)
class Template:
    """The template with values for its parameters."""

    raw: Mapping[str, Any]
    overrides: Mapping[str, str] = field(default_factory=dict)  # of the parameters' defaults

    @classmethod
    def load(cls, path: Path = ROOT / "template.yaml", overrides: str = "") -> Self:
        """`overrides` has the form `Name=value Name=value`, as for sam."""
        pairs = (each.partition("=") for each in overrides.split())
        raw = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
        return cls(raw, {name: value for name, _, value in pairs})

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of all resources of a type whose condition holds, by logical id."""
        found = self.raw["Resources"].items()
        return {
            name: each.get("Properties", {})
            for name, each in found
            if each["Type"] == kind and ("Condition" not in each or self.conditions[each["Condition"]])
        }

    @cached_property
    def conditions(self) -> dict[str, bool]:
        """Whether each of the template's conditions holds."""
        declared = self.raw.get("Conditions", {})
        return {name: _holds(each, self.parameters | _PSEUDO, declared) for name, each in declared.items()}

    @cached_property
    def functions(self) -> dict[str, Function]:
        shared = self.raw.get("Globals", {}).get("Function", {})
        return {
            name: Function(
                name=name,
                folder=own["CodeUri"].removeprefix("functions/").rstrip("/"),
                handler=own.get("Handler", shared.get("Handler", "")),
                streams=own.get("FunctionUrlConfig", {}).get("InvokeMode") == "RESPONSE_STREAM",
                timeout=own.get("Timeout", shared.get("Timeout", 3)),
                memory=own.get("MemorySize", shared.get("MemorySize", 128)),
                environment=_variables(shared) | _variables(own),
                failures=Failures.of(own.get("EventInvokeConfig", {})),
                may_loop=own.get("RecursiveLoop") == "Allow",
                schedules=tuple(_seconds(each["ScheduleExpression"]) for each in _events(own, "ScheduleV2")),
            )
            for name, own in self.resources("AWS::Serverless::Function").items()
        }

    @cached_property
    def routes(self) -> list[Route]:
        """The routes of the HTTP API, the most specific first."""
        routes = [
            Route(name, event.get("Method", "").upper(), event.get("Path", ""))
            for name, function in self.resources("AWS::Serverless::Function").items()
            for event in _events(function, "HttpApi")
        ]
        return sorted(routes, key=lambda route: route.rank)

    @cached_property
    def streamed_routes(self) -> list[Route]:
        """The routes of the functions that stream. They are those of the function with the same code."""
        return [
            Route(streaming.name, route.method, route.path)
            for route in self.routes
            for streaming in self.functions.values()
            if streaming.streams and streaming.folder == self.functions[route.function].folder
        ]

    @property
    def parameters(self) -> dict[str, str]:
        """The values of the parameters. Raises ValueError if one that is not declared is overridden."""
        defaults = {name: str(each.get("Default", "")) for name, each in self.raw.get("Parameters", {}).items()}
        if unknown := self.overrides.keys() - defaults.keys():
            raise ValueError(f"the template has no parameter {', '.join(sorted(unknown))}")
        return defaults | dict(self.overrides)

    def environment(self, values: Values) -> dict[str, str]:
        """The environment variables of the functions, without those that tell Lambda how to start one (AWS_LAMBDA_…).

        They are the same for all functions, so one process can run every function. Raises ValueError if they are not.
        """
        environment: dict[str, str] = {}
        for function in self.functions.values():
            for name, declared in function.environment.items():
                if name.startswith("AWS_LAMBDA_"):
                    continue
                value = str(resolve(declared, self.parameters | dict(values)))
                if environment.setdefault(name, value) != value:
                    raise ValueError(f"{function.name} has another value of {name} than the functions before it")
        return environment


def resolve(declared: Any, values: Values) -> Any:
    """A declared value with its Ref, GetAtt and Sub replaced by `values`, in which attributes are named `Bucket.Arn`.

    Raises ValueError for any other function of CloudFormation.
    """
    match declared:
        case {"Ref": name}:
            return values[name]
        case {"Fn::GetAtt": [name, attribute]}:
            return values[f"{name}.{attribute}"]
        case {"Fn::Sub": str(text)}:
            return _SUBSTITUTED.sub(lambda found: values[found[1]], text)
        case dict() if any(name.startswith("Fn::") for name in declared):
            raise ValueError(f"{', '.join(declared)} is not supported here")
        case dict():
            return {name: resolve(inner, values) for name, inner in declared.items()}
        case list():
            return [resolve(inner, values) for inner in declared]
        case _:
            return declared


def chosen(declared: Any, conditions: Mapping[str, bool]) -> Any:
    """A declared value with its If decided, without the properties that are AWS::NoValue then."""
    match declared:
        case {"Fn::If": [name, then, otherwise]}:
            return chosen(then if conditions[name] else otherwise, conditions)
        case dict():
            decided = {name: chosen(inner, conditions) for name, inner in declared.items()}
            return {name: inner for name, inner in decided.items() if inner != _NO_VALUE}
        case list():
            return [inner for inner in (chosen(each, conditions) for each in declared) if inner != _NO_VALUE]
        case _:
            return declared


def _holds(condition: Any, values: Values, declared: Mapping[str, Any]) -> bool:
    match condition:
        case {"Condition": name}:
            return _holds(declared[name], values, declared)
        case {"Fn::Not": [inner]}:
            return not _holds(inner, values, declared)
        case {"Fn::And": inner}:
            return all(_holds(each, values, declared) for each in inner)
        case {"Fn::Or": inner}:
            return any(_holds(each, values, declared) for each in inner)
        case {"Fn::Equals": [one, other]}:
            return str(resolve(one, values)) == str(resolve(other, values))
        case _:
            raise ValueError(f"{condition} is not supported here")


def _seconds(expression: str) -> int:
    found = _RATE.fullmatch(expression)
    if not found:
        raise ValueError(f"{expression} is not supported here")
    return int(found[1]) * {"minute": 60, "hour": 3600, "day": 86_400}[found[2]]


def _variables(function: Mapping[str, Any]) -> dict[str, Any]:
    return dict(function.get("Environment", {}).get("Variables", {}))


def _events(function: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    return (each.get("Properties", {}) for each in function.get("Events", {}).values() if each["Type"] == kind)
