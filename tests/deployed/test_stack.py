"""The built template as a whole: created by CloudFormation, its functions run as built, each with its own role."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from local.sample import CLUSTER, KUSCIA_TOKEN, PASSWORD, PROJECT, RECORD, SERVICE, SUB_JOBS, TASK, TOKEN, USER
from local.sample import write_credentials
from local.template import Template
from logkeep.backups.schedule import run_id
from logkeep.backups.store import backup_store
from logkeep.backups.worker import SPREAD_SECONDS
from logkeep.backups.schedule import spread
from logkeep.clock import DAY, now_ms
from tests.calls import forget_aws
from tests.deployed.stack import LEFT_OUT, Deployable, Stack
from tests.packaging.building import OURS, Build

TEMPLATE = Template.load()
TEXT = b"2026-11-22 08:00:00 INFO start\n2026-11-22 08:00:01 ERROR no space left\n"
LARGE = os.urandom(1_500_000).hex().encode()
LOGS = f"/v1/{PROJECT}/logs"

# What ministack lacks and tests.deployed.emulator adds, or what is left out of the template, and why.
LACKING = {
    "SAM's transform": "it has none of its own, and its environment cannot hold SAM's translator beside our libraries",
    "alarms of metric math": "it creates no alarm on an expression, so ScheduleBackupsAlarm is left out",
    "routes of an API's Body": "it ignores the OpenAPI document in which SAM writes the routes",
    "Ref of a secret": "it answers the name, where CloudFormation answers the ARN, which roles need",
    "exec wrappers": "it starts no wrapper, and the streaming functions are nothing without theirs",
    "TLS": "it has none, and the bucket's policy refuses requests without",
}


@pytest.fixture(scope="module")
def stack(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with every condition true, and with credentials; nothing waits for a file to be built."""
    with Deployable(tmp_path_factory.mktemp("stack")) as emulator, pytest.MonkeyPatch.context() as patch:
        made = Stack(emulator)
        made.deploy(
            build(OURS), Architecture=OURS, EndpointUrl=emulator.endpoint, AlertEmail="ops@example.com",
            BackupLockDays="1", StreamConcurrency="2", BuildSeconds="0",
        )  # fmt: skip
        for name, value in made.variables().items():
            patch.setenv(name, value)
        forget_aws()
        write_credentials(made.outputs["CredentialsKey"])
        yield made
    forget_aws()


def ask(stack: Stack, method: str, path: str, **more: Any) -> httpx.Response:
    """As the demo project's user."""
    return stack.ask(method, path, headers={"x-auth-token": TOKEN, **more.pop("headers", {})}, **more)


def append(stack: Stack, log: str, text: bytes, offset: int = 0) -> httpx.Response:
    headers = {"content-type": "application/octet-stream"}
    return ask(stack, "PATCH", f"{LOGS}/{log}?offset={offset}", content=text, headers=headers)


def test_what_the_emulator_lacks_is_known(stack: Stack) -> None:
    assert stack.post("lacking") == list(LACKING)


def test_everything_is_created_but_what_is_left_out(stack: Stack) -> None:
    assert all(TEMPLATE.conditions | {name: True for name in ("Locked", "Emailed", "ReservesStreams")})
    missing = TEMPLATE.raw["Resources"].keys() - stack.resources.keys()
    assert missing == {"CommonLayer", *LEFT_OUT}, "a layer's name has a hash"
    (summary,) = stack.emulator.client("cloudformation").describe_stacks(StackName="logkeep")["Stacks"]
    assert summary["StackStatus"] == "CREATE_COMPLETE"


def test_every_route_leads_to_its_function_which_lets_the_api_call_it(stack: Stack) -> None:
    api, functions = stack.resources["Api"], stack.emulator.client("lambda")
    gateway = stack.emulator.client("apigatewayv2")
    uris = {each["IntegrationId"]: each["IntegrationUri"] for each in gateway.get_integrations(ApiId=api)["Items"]}
    routes = {
        each["RouteKey"]: uris[each["Target"].removeprefix("integrations/")]
        for each in gateway.get_routes(ApiId=api)["Items"]
    }
    assert routes.keys() == {route.key for route in TEMPLATE.routes}
    for route in TEMPLATE.routes:
        name = stack.resources[route.function]
        assert routes[route.key].endswith(f":function:{name}/invocations")
    for function in {route.function for route in TEMPLATE.routes}:
        policy = json.loads(functions.get_policy(FunctionName=stack.resources[function])["Policy"])
        assert [each["Principal"]["Service"] for each in policy["Statement"]]
        assert all(f":{api}/" in json.dumps(each["Condition"]) for each in policy["Statement"])


def test_a_log_is_appended_again_sealed_and_read(stack: Stack) -> None:
    log = f"build/{RECORD}/stage1"
    assert append(stack, log, LARGE).status_code == 202
    repeated = append(stack, log, LARGE)
    assert (repeated.status_code, repeated.json()["bytes"]) == (200, len(LARGE))
    assert append(stack, log, b"another").status_code == 409
    sealed = ask(stack, "PUT", f"{LOGS}/{log}", json={"bytes": len(LARGE), "crc32": repeated.json()["crc32"]})
    assert sealed.json()["state"] == "sealed"
    assert ask(stack, "GET", f"{LOGS}/{log}").content == LARGE
    streamed = ask(stack, "GET", f"{LOGS}/{log}", output="ReadLogStream", headers={"accept-encoding": "identity"})
    assert (streamed.status_code, streamed.content) == (200, LARGE)
