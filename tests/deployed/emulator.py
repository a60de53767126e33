"""ministack with what it lacks to create the whole stack and to run its functions as they were built.

It takes two more requests: `POST /_ministack/lacking` answers which of LACKING it still lacks by itself, and
`POST /_ministack/schedule` calls what is scheduled as if it were due.
"""

import asyncio
import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from ministack import app
from ministack.core import lambda_runtime, tls
from ministack.services import apigateway, iam, lambda_svc, s3, scheduler
from ministack.services.cloudformation import engine, provisioners

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = Path(sys.base_prefix, "bin", "python3.13")  # knows nothing of .venv, as Lambda's does not
# What Lambda's runtime brings along.
RUNTIME: Final = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")
TRANSLATE: Final = """
import json, sys
from samtranslator.translator.transform import transform
json.dump(transform(json.load(sys.stdin), {}, type("Loader", (), {"load": lambda self: {}})()), sys.stdout)
"""
_ALARM: Final = {"Metrics": [{"Id": "a", "Expression": "1"}], "ComparisonOperator": "LessThanThreshold"}
_ROUTE: Final = {"/x": {"get": {"x-amazon-apigateway-integration": {"uri": "u", "payloadFormatVersion": "2.0"}}}}
_WRAPPER: Final = "AWS_LAMBDA_EXEC_WRAPPER"

_ROLE_POLICY: Final = "AWS::IAM::RolePolicy"
_BY_ITSELF: Final = frozenset(provisioners._RESOURCE_HANDLERS)  # the types that it can create

_make_api = provisioners._apigw_v2_api_create
_make_bucket = provisioners._s3_create
_make_secret = provisioners._sm_secret_create
_make_alarm = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]["create"]
_worker_of = lambda_runtime._worker_class_for
_worker_environment = lambda_svc._provided_worker_env
_pin_origin = app.pin_request_origin
_handle_reset = app._handle_admin_reset
_unzipping: Final = threading.Lock()


def transform(template: dict[str, Any], parameters: Any, loader: Any) -> Any:
    """SAM's own translation, which is in an environment of its own."""
    done = subprocess.run(  # noqa: S603 - our own tool
        [ROOT / ".venv-sam" / "bin" / "python", "-c", TRANSLATE],
        input=json.dumps(template), env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr[-2000:])
    return json.loads(done.stdout)


def make_api(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    """With the routes of its OpenAPI document."""
    made = _make_api(logical_id, properties, stack)
    for path, methods in properties.get("Body", {}).get("paths", {}).items():
        for method, operation in methods.items():
            given = operation["x-amazon-apigateway-integration"]
            integration = {"integrationUri": given["uri"], "payloadFormatVersion": given["payloadFormatVersion"]}
            answer = apigateway._create_integration(made[0], integration)
            target = f"integrations/{json.loads(answer[2])['integrationId']}"
            key = path if path == "$default" else f"{method.upper()} {path}"
            apigateway._create_route(made[0], {"routeKey": key, "target": target})
    return made


def make_secret(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    """One whose Ref is its ARN."""
    _, attributes = _make_secret(logical_id, properties, stack)
    return attributes["Arn"], attributes


def make_bucket(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    """With its Object Lock."""
    made = _make_bucket(logical_id, properties, stack)
    if properties.get("ObjectLockEnabled"):
        s3._bucket_object_lock[made[0]] = {"enabled": True, "default_retention": None}
    return made


def make_role_policy(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
    iam._roles[properties["RoleName"]]["InlinePolicies"][properties["PolicyName"]] = json.dumps(
        properties["PolicyDocument"]
    )
    return properties["PolicyName"], {}


def remove_role_policy(policy: str, properties: dict[str, Any]) -> None:
    iam._roles[properties["RoleName"]]["InlinePolicies"].pop(policy, None)


class Wrapped(lambda_runtime.ProvidedWorker):
    def invoke(self, event: Any, request_id: str, **more: Any) -> Any:
        """Without what only ministack's own runtimes take."""
        return super().invoke(event, request_id, trace_id=more["trace_id"])


def worker_of(config: dict[str, Any]) -> Any:
    """A function with a wrapper speaks the Runtime API itself, as those of `provided` runtimes do."""
    variables = config.get("Environment", {}).get("Variables", {})
    return Wrapped if _WRAPPER in variables else _worker_of(config)


def code_of(zipped: bytes) -> str:
    """The folder of a function with a wrapper; Lambda's own start of the wrapper is its bootstrap."""
    folder = unzipped(zipped)
    bootstrap = folder / "bootstrap"
    if not bootstrap.exists():
        bootstrap.write_text(f'#!/bin/sh\nexec "${_WRAPPER}" {PYTHON} /var/runtime/bootstrap.py\n')
        bootstrap.chmod(0o755)
    return str(folder)


def worker_environment(config: dict[str, Any], code: str, port: int) -> dict[str, str]:
    made: dict[str, str] = _worker_environment(config, code, port)
    (layer,) = config["Layers"]
    wrapper = made[_WRAPPER].replace("/opt", str(unzipped(lambda_svc._resolve_layer_zip(layer))), 1)
    return made | {_WRAPPER: wrapper, "LAMBDA_RUNTIME_DIR": os.environ["PYTHONPATH"]}


def unzipped(zipped: bytes) -> Path:
    """The folder with the content of a zip, made once for all processes."""
    folder = Path(tempfile.gettempdir(), hashlib.sha256(zipped).hexdigest())
    with _unzipping:
        if not folder.exists():
            made = Path(tempfile.mkdtemp())
            (made / "zip").write_bytes(zipped)
            with zipfile.ZipFile(made / "zip") as opened:
                opened.extractall(made / "content")
                for each in opened.infolist():
                    if each.external_attr >> 16 & 0o100:
                        (made / "content" / each.filename).chmod(0o755)
            (made / "content").rename(folder)
    return folder


class Linked(zipfile.ZipFile):
    """A zip whose folder is linked to instead of made again, for each process of each function."""

    def namelist(self) -> list[str]:
        return []  # of which ministack looks at every one

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        Path(path).rmdir()
        Path(path).symlink_to(unzipped(Path(str(self.filename)).read_bytes()))


def lacks_alarms() -> bool:
    try:
        _make_alarm("Alarm", _ALARM, "stack")
    except ValueError as error:
        return "metric math" in str(error)
    return False


def lacks_routes() -> bool:
    api = _make_api("Api", {"Body": {"paths": _ROUTE}}, "none")[0]
    return not apigateway._routes.pop(api)


def lacks_locks() -> bool:
    name = _make_bucket("Bucket", {"ObjectLockEnabled": True}, "none")[0]
    s3._buckets.pop(name)
    return name not in s3._bucket_object_lock


def lacks_translation() -> bool:
    return "aws-sam-translator" in inspect.getsource(engine._apply_transforms)


LACKING: Final[dict[str, Callable[[], bool]]] = {
    "SAM's transform": lacks_translation,
    "alarms of metric math": lacks_alarms,
    "routes of an API's Body": lacks_routes,
    "Object Lock of a bucket": lacks_locks,
    "policies that roles are given": lambda: _ROLE_POLICY not in _BY_ITSELF,
    "Ref of a secret": lambda: not _make_secret("Secret", {"SecretString": "x"}, "none")[0].startswith("arn:"),
    "exec wrappers": lambda: _WRAPPER not in inspect.getsource(lambda_runtime) + inspect.getsource(lambda_svc),
    "TLS": lambda: not tls.use_ssl_enabled(),
}


def call_scheduled() -> None:
    scheduler._schedule_last_fired.update(dict.fromkeys(scheduler._schedules._data, 0))
    scheduler._tick_schedules()


async def handle(path: str, method: str, query: dict[str, list[str]]) -> Any:
    match path:
        case "/_ministack/lacking":
            answer: Any = [name for name, lacks in LACKING.items() if lacks()]
        case "/_ministack/schedule":
            answer = await asyncio.to_thread(call_scheduled)
        case _:
            return await _handle_reset(path, method, query)
    return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()


def supplement() -> None:
    for name in ("samtranslator", "samtranslator.translator", "samtranslator.translator.transform"):
        sys.modules[name] = ModuleType(name)
    sys.modules["samtranslator.translator.transform"].transform = transform  # type: ignore[attr-defined]  # a module
    provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]["create"] = make_api
    provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]["create"] = make_bucket
    provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]["create"] = make_secret
    provisioners._RESOURCE_HANDLERS[_ROLE_POLICY] = {"create": make_role_policy, "delete": remove_role_policy}
    app._handle_admin_reset = handle
    app.pin_request_origin = lambda address, _: _pin_origin(address, True)  # as over HTTPS
    lambda_runtime._detect_runtime_binary = lambda _: (str(PYTHON), lambda_runtime._PYTHON_WORKER_SCRIPT)
    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": Linked})
    lambda_runtime._worker_class_for = worker_of
    lambda_svc._provided_runtime_code_dir = code_of
    lambda_svc._provided_worker_env = worker_environment
    # The processes of functions inherit our environment, and find what Lambda's runtime has, and nothing of .venv. Each
    # has a path of its own to the layer, so that it would compile all of it where bytecode is not kept beside the code.
    os.environ.pop("PYTHONPYCACHEPREFIX", None)
    (libraries,) = (ROOT / ".venv").glob("lib/*/site-packages")
    runtime = Path(tempfile.mkdtemp(prefix="runtime-"))
    for name in RUNTIME:
        (runtime / name).symlink_to(libraries / name)
    paths = [each for each in os.environ["PYTHONPATH"].split(os.pathsep) if each != str(ROOT)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(runtime), *paths])


if __name__ == "__main__":
    supplement()
    app.main()
