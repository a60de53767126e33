"""The built template as a whole: created by CloudFormation, its functions run as built, each with its own role."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.sample import (
    CLUSTER,
    CONTAINER,
    KUSCIA_TOKEN,
    PASSWORD,
    PROJECT,
    RECORD,
    SERVICE,
    SUB_JOBS,
    TASK,
    TOKEN,
    USER,
    write_credentials,
)  # fmt: skip
from local.template import Template
from logkeep.backups.store import backup_store
from logkeep.clock import now_ms
from tests.calls import forget_aws
from tests.deployed.stack import LEFT_OUT, Deployable, Stack
from tests.packaging.building import OURS, Build

TEMPLATE = Template.load()
TEXT = b"2026-11-22 08:00:00 INFO start\n2026-11-22 08:00:01 ERROR no space left\n"
LARGE = os.urandom(1_500_000).hex().encode()
LOGS = f"/v1/{PROJECT}/logs"
CLUSTER_LOGS = f"/v1.0/{PROJECT}/clusters/{CLUSTER}/logs"
NODE = f"cluster/{CLUSTER}/node-1/instance"

# What ministack lacks and tests.deployed.emulator adds, or what is left out of the template, and why.
LACKING = {
    "SAM's transform": "it has none of its own, and its environment cannot hold SAM's translator beside our libraries",
    "alarms of metric math": "it creates no alarm on an expression, so two of the alarms are left out",
    "routes of an API's Body": "it ignores the OpenAPI document in which SAM writes the routes",
    "Object Lock of a bucket": "it ignores the property, and refuses to lock an object of such a bucket",
    "policies that roles are given": "it does not know AWS::IAM::RolePolicy",
    "Ref of a secret": "it answers the name, where CloudFormation answers the ARN, which roles need",
    "exec wrappers": "it starts no wrapper, and the streaming functions are nothing without theirs",
    "TLS": "it has none, and the bucket's policy refuses requests without",
}

# Made by parameters that are not set here: the dashboard names alarms that are left out, and a customer's key would
# have to be made before the stack.
BY_PARAMETER = ("Overview", "UseCustomerKey", "ReadByCustomerKey")


@pytest.fixture(scope="module")
def stack(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with every condition true but those of BY_PARAMETER, and with credentials."""
    with Deployable(tmp_path_factory.mktemp("stack")) as emulator, pytest.MonkeyPatch.context() as patch:
        made = Stack(emulator)
        made.deploy(
            build(OURS), Architecture=OURS, EndpointUrl=emulator.endpoint, AlertEmail="ops@example.com",
            BackupLockDays="1", StreamConcurrency="2",
        )  # fmt: skip
        for name, value in made.variables().items():
            patch.setenv(name, value)
        forget_aws()
        write_credentials(made.outputs["CredentialsKey"])
        with made.http:
            yield made
    forget_aws()


def ask(stack: Stack, method: str, path: str, **more: Any) -> httpx.Response:
    """As the demo project's user."""
    return stack.ask(method, path, headers={"x-auth-token": TOKEN, **more.pop("headers", {})}, **more)


def append(stack: Stack, log: str, text: bytes, offset: int = 0) -> httpx.Response:
    headers = {"content-type": "application/octet-stream"}
    return ask(stack, "PATCH", f"{LOGS}/{log}?offset={offset}", content=text, headers=headers)


def open_backups(stack: Stack) -> None:
    """Have a cluster with a log, whose backups are open."""
    append(stack, NODE, TEXT)
    settings = {"agency": "css_obs_agency", "log_base_path": "css/log", "log_bucket": stack.outputs["Bucket"]}
    assert ask(stack, "POST", f"{CLUSTER_LOGS}/open?action=base_log_collect", json=settings).status_code == 200


def test_what_the_emulator_lacks_is_known(stack: Stack) -> None:
    assert stack.post("lacking") == list(LACKING)


def test_everything_is_created_but_what_is_left_out(stack: Stack) -> None:
    missing = TEMPLATE.raw["Resources"].keys() - stack.resources.keys()
    assert missing == {"CommonLayer", *LEFT_OUT, *BY_PARAMETER}, "a layer's name has a hash"
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
    log = f"build/{RECORD}/stage9"
    assert append(stack, log, LARGE).status_code == 202
    repeated = append(stack, log, LARGE)
    assert (repeated.status_code, repeated.json()["bytes"]) == (200, len(LARGE))
    assert append(stack, log, b"another").status_code == 409
    sealed = ask(stack, "PUT", f"{LOGS}/{log}", json={"bytes": len(LARGE), "crc32": repeated.json()["crc32"]})
    assert sealed.json()["state"] == "sealed"
    assert ask(stack, "GET", f"{LOGS}/{log}").content == LARGE
    streamed = ask(stack, "GET", f"{LOGS}/{log}", output="ReadLogStream", headers={"accept-encoding": "identity"})
    assert (streamed.status_code, streamed.content) == (200, LARGE)


def test_a_file_that_takes_too_long_is_built_by_the_worker_and_linked(stack: Stack) -> None:
    append(stack, f"build/{RECORD}/stage8", LARGE)
    stack.change("DownloadBuildLogStream", BUILD_SECONDS="0")

    def link() -> Any:
        path, headers = f"/v1/log/{RECORD}/task-log?task_name=stage8", {"accept": "application/json"}
        answer = ask(stack, "GET", path, output="DownloadBuildLogStream", headers=headers)
        assert answer.status_code in {200, 202}
        return answer.json().get("url")

    assert link() is None, "it is ordered"
    file = stack.http.get(stack.until(link))
    assert (file.status_code, file.content) == (200, LARGE)


def test_the_five_apis_answer(stack: Stack) -> None:
    append(stack, f"task/{TASK}/0/{CONTAINER}/0", TEXT)
    append(stack, f"build/{RECORD}/stage1", TEXT)
    append(stack, f"check/{SUB_JOBS[0]}", TEXT)
    events = [{"occur_time": now_ms() - 1000, "event_type": "normal", "event_info": "start to deploy service"}]
    service = f"/v1/{PROJECT}/services/{SERVICE}/events"
    assert ask(stack, "POST", service, json={"service_name": "s", "events": events}).status_code in {200, 202}

    kuscia = {"task_id": TASK, "container": CONTAINER}
    answer = stack.ask("POST", "/api/v1/log/task/query", headers={"token": KUSCIA_TOKEN}, json=kuscia)
    assert answer.json() == {"status": {"message": "success"}, "log": TEXT.decode().rstrip()}
    password = {"user": {"name": USER, "password": PASSWORD, "domain": {"name": "logkeep"}}}
    identity = {"identity": {"methods": ["password"], "password": password}, "scope": {"project": {"id": PROJECT}}}
    token = stack.ask("POST", "/v3/auth/tokens", json={"auth": identity}).headers["x-subject-token"]
    listed = ask(stack, "GET", service, headers={"x-auth-token": token}).json()
    assert [each["event_info"] for each in listed["events"]] == ["start to deploy service"]
    assert ask(stack, "GET", f"/v1/log/{RECORD}/task-log?task_name=stage1").content == TEXT
    checked = ask(stack, "GET", f"/v1/log-file?sub_job_id={SUB_JOBS[0]}").content
    assert zipfile.ZipFile(io.BytesIO(checked)).read(f"{SUB_JOBS[0]}.log") == TEXT
    open_backups(stack)
    assert ask(stack, "GET", f"{CLUSTER_LOGS}/records").json()["clusterLogRecord"] == []
    unknown = ask(stack, "GET", "/v1/nothing")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "APIGW.0101"), "by $default"


def test_a_scheduled_backup_is_made_downloaded_and_restored(stack: Stack) -> None:
    open_backups(stack)
    assert ask(stack, "POST", f"{CLUSTER_LOGS}/policy/update", json={"period": "00:00 GMT+08:00"}).status_code == 200
    stack.post("schedule")
    assert ask(stack, "GET", f"{CLUSTER_LOGS}/records").json()["clusterLogRecord"] == [], "none was due"
    backup_store(PROJECT, CLUSTER).items.update("policy", {"due_at": now_ms()})
    stack.post("schedule")

    def record() -> Any:
        found = ask(stack, "GET", f"{CLUSTER_LOGS}/records").json()["clusterLogRecord"]
        return next((each for each in found if each["status"] != "RUNNING"), None)

    made = stack.until(record)
    assert (made["status"], made["jobTypes"]) == ("SUCCESS", "Auto")
    archive = f"{CLUSTER_LOGS}/records/{made['id']}"
    link = ask(stack, "GET", f"{archive}/archive", headers={"accept": "application/json"}).json()["url"]
    opened = zipfile.ZipFile(io.BytesIO(stack.http.get(link).content))
    assert TEXT in [opened.read(name) for name in opened.namelist()]
    assert ask(stack, "POST", f"{archive}/restore", json={"prefix": "restored-"}).status_code == 202
    stack.until(lambda: ask(stack, "GET", archive).json()["restore"]["state"] == "done")
    assert ask(stack, "GET", f"{LOGS}/cluster/restored-{CLUSTER}/node-1/instance").content == TEXT


@pytest.mark.parametrize("worker", ["BuildRender", "RunBackup", "RunRestore"])
def test_an_order_that_always_fails_ends_among_the_dead_letters(stack: Stack, worker: str) -> None:
    order = {"project": PROJECT, "cluster": CLUSTER, "kind": "paint", "for": worker}
    stack.emulator.client("lambda").invoke(
        FunctionName=stack.resources[worker], InvocationType="Event", Payload=json.dumps(order)
    )
    sqs, queue = stack.emulator.client("sqs"), stack.resources["DeadLetters"]
    (letter,) = stack.until(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=letter["ReceiptHandle"])
    told = json.loads(letter["Body"])
    assert told["requestPayload"] == order
    assert f":function:{stack.resources[worker]}" in told["requestContext"]["functionArn"]
    assert told["requestContext"]["approximateInvokeCount"] == 3


def test_a_function_can_do_nothing_without_its_role(stack: Stack) -> None:
    """The roles are enforced here: without this, the other tests show nothing of them."""
    service = f"/v1/{PROJECT}/services/{SERVICE}/events"
    iam, role = stack.emulator.client("iam"), stack.resources["ListServiceEventsRole"]
    before = ask(stack, "GET", service)
    policy = iam.get_role_policy(RoleName=role, PolicyName="own")["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName="own")
    assert ask(stack, "GET", service).status_code == 500
    iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps(policy))
    assert ask(stack, "GET", service).content == before.content
