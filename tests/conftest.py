"""The emulator, and an empty Logkeep in it for every test that asks; no test needs an account or Docker."""

import gc
import os
import ssl
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import boto3
import pytest

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # The tests start hundreds of processes, each of which would compile every library that it imports: their bytecode
    # is kept after all, outside the tree.
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

os.environ.pop("AWS_PROFILE", None)  # a profile that is not there is an error
os.environ |= {  # before any import of the code under test
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "logkeep",
    "NO_PROXY": "127.0.0.1",
}

from local.template import Template
from logkeep.aws.logger import logger
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import token_place
from tests import examples  # noqa: F401 - sets Hypothesis up
from tests.calls import OTHER_PROJECT, OTHER_TOKEN, TOKENS, HurriedClock, credential, forget_aws
from tests.local.service import Service, running
from tests.orders import taking_orders
from tests.remembered import remembering
from tests.rewinding import Rewinding

# Imports make millions of objects and no garbage. What they made is looked at no more, once all is collected.
gc.disable()

# Every client reads the certificates of the machine, which takes longer than most tests; none of them speaks TLS.
_once = cache(ssl.create_default_context)
for _name in ("create_default_context", "_create_default_https_context"):
    setattr(ssl, _name, _once)

pytest_plugins = ["tests.cluster", "tests.faulty", "tests.packaging.building"]
TEMPLATE = Template.load()
# Files that take longest: in parallel they begin first, so that all processes end at about the same time.
_FIRST = (
    "tests/deployed/test_stack.py",
    "tests/openapi/test_schemathesis.py",
    "tests/test_documents.py",
    "tests/admin/test_command.py",
    "tests/agent/test_ship_kills.py",
    "tests/local/test_service.py",
    "tests/test_roles.py",
    "tests/downloads/test_over_http.py",
    "tests/packaging/test_build.py",
    "tests/packaging/test_transform.py",
    "tests/conformance/test_failures.py",
    "tests/backups/test_worker_kills.py",
    "tests/restores/test_worker_kills.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda each: places.get(each.nodeid.partition("::")[0], len(places)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rewinding]:
    with Rewinding(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="session")
def environment(emulator: Rewinding) -> Iterator[dict[str, str]]:
    """The template's resources, and the tokens that events/*.json use: the state that the emulator returns to."""
    with taking_orders(emulator) as functions:
        yield _made(emulator, functions)


def _made(emulator: Rewinding, functions: str) -> dict[str, str]:
    made = emulator.create(TEMPLATE) | {"AWS_ENDPOINT_URL_LAMBDA": functions}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.items():
            patch.setenv(name, value)
        forget_aws()
        for kind, token in TOKENS.items():
            credential_store().put(token_place(kind, token), credential(kind))
            credential_store().put(token_place(kind, OTHER_TOKEN), credential(kind, project=OTHER_PROJECT))
    emulator.mark()
    return made


@pytest.fixture
def aws(emulator: Rewinding, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty Logkeep: the template's resources, and the tokens that events/*.json use."""
    emulator.rewind()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("logkeep.reading.http.CLOCK", HurriedClock())
    monkeypatch.setattr("logkeep.apis.css.http.BEGINS_AFTER", 0)
    forget_aws()
    with remembering():
        yield
    forget_aws()


@contextmanager
def marked(name: str, emulator: Rewinding, environment: dict[str, str]) -> Iterator[None]:
    """What is written in this goes to an empty Logkeep, a state that tests return to by emulator.rewind(name)."""
    emulator.rewind()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        forget_aws()
        yield
        forget_aws()
    emulator.mark(name)


@pytest.fixture
def objects(aws: None) -> "Objects":
    return Objects()


class Objects:
    """What lies in the bucket."""

    def __init__(self) -> None:
        self.bucket = os.environ["BUCKET"]
        self.s3 = boto3.client("s3")

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The local service, for all tests that leave its sample data as they are and name what they add themselves."""
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def a_log_id() -> str:
    return f"build/{uuid.uuid4()}/stage1"


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """Functions that kill and race loops call write no lines."""
    is_loop = request.node.get_closest_marker("soak") is not None
    if is_loop:
        logger.setLevel("ERROR")
    yield
    if is_loop:
        logger.setLevel("INFO")
