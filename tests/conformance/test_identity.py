"""Samples and password clients as published, led here by their environment or their options alone."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1.identity import generic, v3
from keystoneauth1.session import Session

from logkeep.identity.credentials import user_id
from tests.calls import PROJECT
from tests.conformance.clients import IGNORED, environment
from tests.local.service import Service

pytestmark = IGNORED
SAMPLES = Path(__file__).parent / "samples"
REGION = "cn-north-4"


def run(text: str, service: Service, tmp_path: Path, **variables: str) -> str:
    """What a program prints, run as a user runs one: a file, and the environment."""
    program = tmp_path / "sample.py"
    program.write_text(text)
    found = subprocess.run(  # noqa: S603 - the sample
        [sys.executable, program],
        cwd=tmp_path,
        env=environment(service, HOME=str(tmp_path), **variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def sample(name: str, service: Service, **placeholders: str) -> str:
    """A sample with its placeholders filled in, and nothing else."""
    text = (SAMPLES / f"{name}.txt").read_text()
    for key, value in {**service.demo, **placeholders}.items():
        text = text.replace(f"{{{key}}}", str(value))
    assert "<YOUR REGION>" in text
    return text.replace("<YOUR REGION>", REGION)


def test_the_published_sample_lists_backup_records(service, tmp_path) -> None:
    """Seed 003's."""
    found = json.loads(run(sample("css_list_logs_job", service), service, tmp_path))
    assert len(found["clusterLogRecord"]) == 10


def test_the_published_sample_shows_what_is_wrong(service, tmp_path) -> None:
    printed = run(sample("css_list_logs_job", service, cluster_id="nobody"), service, tmp_path).splitlines()
    assert (printed[0], printed[2]) == ("404", "CSS.3027")
    assert printed[1]
    assert printed[3].startswith("The cluster does not exist!")


def test_the_published_sample_with_a_wrong_secret(service, tmp_path) -> None:
    printed = run(sample("css_list_logs_job", service), service, tmp_path, CLOUD_SDK_SK="wrong").splitlines()
    assert [printed[0], *printed[2:]] == [
        "401",
        "APIGW.0301",
        "Incorrect IAM authentication information: verify aksk signature fail",
    ]


def test_a_sample_without_a_project_asks_for_it_by_the_regions_name(service, tmp_path) -> None:
    printed = run(sample("build_download_task_log", service), service, tmp_path)
    assert "Apache Maven" in printed


OF_A_REGION = """
import os
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_stream_response import SdkStreamResponse
from {package}.region.{name}_region import {service}Region
from {package} import {service}Client

class Answer(SdkStreamResponse):
    sensitive_list, openapi_types, attribute_map = [], {{}}, {{}}

keys = BasicCredentials(os.environ["CLOUD_SDK_AK"], os.environ["CLOUD_SDK_SK"])
region = {service}Region.value_of("cn-north-4")
client = {service}Client.new_builder().with_credentials(keys).with_region(region).build()
client.model_package.Answer = Answer
answer = client.call_api("{path}", "GET", {parameters}, header_params={{}}, response_type="Answer")
answer.consume_download_stream(lambda response: print(response.status_code, len(response.content) > 100))
"""


@pytest.mark.parametrize(
    ("service_name", "version", "path", "parameters"),
    [
        ("CodeArtsCheck", "v2", "/v1/log-file", "query_params=[('sub_job_id', '{sub_job_ids[0]}')]"),
        (
            "ModelArts",
            "v1",
            "/v1/{project_id}/services/{service_id}/events",
            "path_params={{'service_id': '{service_id}'}}, query_params=[('limit', 3)]",
        ),
    ],
)
def test_clients_of_a_region_are_led_here_by_the_environment(
    service, tmp_path, service_name, version, path, parameters
) -> None:
    """Those that lack the published operation, with the SDK's way to call any."""
    name = service_name.lower()
    text = OF_A_REGION.format(
        package=f"huaweicloudsdk{name}.{version}",
        name=name,
        service=service_name,
        path=path,
        parameters=parameters.format(**service.demo),
    )
    assert run(text, service, tmp_path) == "200 True\n"


# Passwords


def plugins(service: Service) -> dict[str, Any]:
    url, password = service.demo["endpoint"], service.demo["password"]
    named: dict[str, Any] = {"username": service.demo["user"], "user_domain_name": "Default", "password": password}
    in_domain: dict[str, Any] = {"project_domain_name": "Default"}
    return {
        "v3, by project name": v3.Password(f"{url}/v3", **named, project_name="eu-de", **in_domain),
        "v3, by project id": v3.Password(f"{url}/v3", **named, project_id=PROJECT),
        "v3, by user id": v3.Password(
            f"{url}/v3", user_id=user_id(service.demo["user"]), password=password, project_id=PROJECT
        ),
        "v3, unscoped": v3.Password(f"{url}/v3", **named, unscoped=True),
        "generic, by project name": generic.Password(f"{url}/v3", **named, project_name="eu-de", **in_domain),
        "generic, by project id": generic.Password(f"{url}/v3", **named, project_id=PROJECT),
        "generic, without a version": generic.Password(url, **named, project_id=PROJECT),
    }


@pytest.mark.parametrize(
    "way",
    [
        *("v3, by project name", "v3, by project id", "v3, by user id", "v3, unscoped"),
        *("generic, by project name", "generic, by project id", "generic, without a version"),
    ],
)
def test_keystones_client_logs_in_and_calls(service, way) -> None:
    plugin = plugins(service)[way]
    session = Session(auth=plugin)
    access = plugin.get_access(session)
    assert access.project_id == PROJECT
    assert access.username == service.demo["user"]
    assert access.user_id == user_id(service.demo["user"])
    assert 86_000 < access.expires.timestamp() - time.time() < 86_401
    assert not access.will_expire_soon(3600)
    path = f"/v1/{PROJECT}/services/{service.demo['service_id']}/events?limit=2"
    answer = session.get(service.demo["endpoint"] + path)
    assert answer.json()["count"] == 2
    by_catalog = session.get(
        f"/services/{service.demo['service_id']}/events?limit=1",
        endpoint_filter={"service_type": "modelartsv1", "interface": "public"},
    )
    assert by_catalog.json()["count"] == 1
    assert session.get("/projects", endpoint_filter={"service_type": "identity"}).json()["projects"][0]["id"] == PROJECT


def test_open_telekom_clouds_client_logs_in_with_a_password(service) -> None:
    """Nothing but what its users write: where, who, and which region."""
    import openstack
    from otcextensions import sdk

    connection = openstack.connect(
        auth={
            "auth_url": f"{service.demo['endpoint']}/v3",
            "username": service.demo["user"],
            "password": service.demo["password"],
            "project_name": "eu-de",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        region_name="eu-de",
    )
    sdk.register_otc_extensions(connection)
    proxy: Any = connection.modelartsv1  # type: ignore[attr-defined]  # made by register_otc_extensions
    found = list(proxy.service_events(service.demo["service_id"], limit=3, order="asc"))
    assert len(found) == 3
