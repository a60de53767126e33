"""The vendors' published clients, unchanged, against the running service, however they prove themselves."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from huaweicloudsdkcodeartsbuild.v3 import CodeArtsBuildClient, DownloadTaskLogRequest
from huaweicloudsdkcodeartscheck.v2 import CodeArtsCheckClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.sdk_response import SdkResponse
from huaweicloudsdkcore.sdk_stream_response import SdkStreamResponse
from huaweicloudsdkcss.v1 import CssClient, ListLogsJobRequest
from huaweicloudsdkmodelarts.v1 import ModelArtsClient

from tests.conformance.kuscia_messages import QueryLogResponse, parse
from tests.conformance.sdk import downloaded
from tests.local.service import Service, running

# Of the published clients, which are used as they are.
pytestmark = [
    pytest.mark.filterwarnings(
        r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning:huaweicloudsdkcore"
    ),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(params=["signature", "token only", "token and signature"])
def make(request: pytest.FixtureRequest, service: Service) -> Callable[[type], Any]:
    """A client of the SDK that signs, sends X-Auth-Token, or does both."""

    def client(kind: type) -> Any:
        demo = service.demo
        keys = ("unused", "unused") if request.param == "token only" else (demo["ak"], demo["sk"])
        credentials = BasicCredentials(*keys, demo["project_id"])
        builder = kind.new_builder().with_http_config(HttpConfig(timeout=(5, 60)))  # type: ignore[attr-defined]
        made = builder.with_credentials(credentials).with_endpoint(service.demo["endpoint"]).build()
        if request.param != "signature":
            made.preset_headers["X-Auth-Token"] = demo["token"]
        if request.param == "token only":
            made.preset_headers["Authorization"] = None
        return made

    return client


# CSS


def test_css_lists_backup_records(make, service) -> None:
    found = make(CssClient).list_logs_job(ListLogsJobRequest(cluster_id=service.demo["cluster_id"], offset=2, limit=5))
    assert len(found.cluster_log_record) == 5
    assert found.total_size > 5
    for record in found.cluster_log_record:
        assert record.status in {"RUNNING", "SUCCESS", "FAIL"}
        assert record.job_types in {"Manual", "Auto"}
        assert isinstance(record.create_at, str)
        assert record.finished_at is None or isinstance(record.finished_at, int)


def test_css_shows_our_code_message_and_request_id(make) -> None:
    with pytest.raises(ClientRequestException) as caught:
        make(CssClient).list_logs_job(ListLogsJobRequest(cluster_id="nobody"))
    assert (caught.value.status_code, caught.value.error_code) == (404, "CSS.3027")
    assert caught.value.request_id


# CodeArts Build


def test_build_downloads_a_stage_with_its_own_method(make, service) -> None:
    wanted = DownloadTaskLogRequest(
        record_id=service.demo["record_id"], task_name=service.demo["task_name"], log_level="DEBUG"
    )
    text = downloaded(make(CodeArtsBuildClient).download_task_log(wanted))
    assert b"DEBUG" in text
    wanted.log_level = "INFO"
    assert b"DEBUG" not in downloaded(make(CodeArtsBuildClient).download_task_log(wanted))


def test_build_downloads_from_the_documented_path(make, service) -> None:
    response = make(CodeArtsBuildClient).call_api(
        "/v1/log/{record_id}/task-log",
        "GET",
        path_params={"record_id": service.demo["record_id"]},
        query_params=[("task_name", service.demo["task_name"]), ("log_level", None), ("compress", True)],
        header_params={},
        response_type="DownloadTaskLogResponse",
    )
    assert downloaded(response)[:2] == b"\x1f\x8b"


def test_build_shows_which_field_is_wrong(make, service) -> None:
    with pytest.raises(ClientRequestException) as caught:
        make(CodeArtsBuildClient).download_task_log(DownloadTaskLogRequest(record_id=service.demo["record_id"]))
    assert (caught.value.status_code, caught.value.error_code) == (400, "CB.00060200")
    assert "task_name" in caught.value.error_msg


# CodeArts Check


class DownloadLogResponse(SdkStreamResponse):
    sensitive_list: list[str] = []
    openapi_types: dict[str, str] = {}
    attribute_map: dict[str, str] = {}


@pytest.mark.parametrize("joined", [False, True])
def test_check_downloads_a_zip(make, service, joined) -> None:
    client = make(CodeArtsCheckClient)
    client.model_package.DownloadLogResponse = DownloadLogResponse
    ids = service.demo["sub_job_ids"]
    query = [("sub_job_id", ",".join(ids))] if joined else [("sub_job_id", each) for each in ids]
    response = client.call_api(
        "/v1/log-file", "GET", query_params=query, header_params={}, response_type="DownloadLogResponse"
    )
    archive = zipfile.ZipFile(io.BytesIO(downloaded(response)))
    assert archive.testzip() is None
    logs = json.loads(archive.read("manifest.json"))["logs"]
    assert {each["id"].split("/")[1] for each in logs} == set(ids)
    assert {each["entry"] for each in logs} == set(archive.namelist()) - {"manifest.json"}


# ModelArts


class _Model:
    sensitive_list: list[str] = []
    openapi_types: dict[str, str] = {}

    def __init__(self, **values: Any) -> None:
        super().__init__()
        for name in self.openapi_types:
            setattr(self, name, values.get(name))


class ServiceEventV1(_Model):
    openapi_types = {"occur_time": "int", "event_type": "str", "event_info": "str"}
    attribute_map = {name: name for name in openapi_types}


class ShowServiceEventsResponse(_Model, SdkResponse):
    openapi_types = {
        "service_id": "str",
        "service_name": "str",
        "total_count": "int",
        "count": "int",
        "events": "list[ServiceEventV1]",
    }
    attribute_map = {name: name for name in openapi_types}


@pytest.mark.parametrize("order", ["asc", "desc", None])
def test_modelarts_lists_service_events(make, service, order) -> None:
    client = make(ModelArtsClient)
    client.model_package.ShowServiceEventsResponse = ShowServiceEventsResponse
    client.model_package.ServiceEventV1 = ServiceEventV1
    found = client.call_api(
        "/v1/{project_id}/services/{service_id}/events",
        "GET",
        path_params={"service_id": service.demo["service_id"]},
        query_params=[("limit", 7), ("order", order), ("offset", 1)],
        header_params={},
        response_type="ShowServiceEventsResponse",
    )
    times = [event.occur_time for event in found.events]
    assert found.count == len(times) == 7
    assert found.total_count > 14
    assert times == sorted(times, reverse=order != "asc")
    assert found.service_name


def test_open_telekom_clouds_client_lists_service_events(service) -> None:
    """otcextensions: a token and nothing else, as a password login leaves it."""
    import openstack
    from otcextensions import sdk

    connection = openstack.connect(
        auth_type="admin_token",
        auth={"endpoint": service.demo["endpoint"], "token": service.demo["token"]},
        region_name="local",
    )
    sdk.register_otc_extensions(connection)
    proxy: Any = connection.modelartsv1  # type: ignore[attr-defined]  # made by register_otc_extensions
    proxy.endpoint_override = f"{service.demo['endpoint']}/v1/{service.demo['project_id']}"
    found = list(proxy.service_events(service.demo["service_id"], limit=5, event_type="normal", order="asc"))
    assert [event.event_type for event in found] == ["normal"] * 5


# Kuscia


def kuscia(service: Service, **query: Any) -> httpx.Response:
    return httpx.post(
        f"{service.demo['endpoint']}/api/v1/log/task/query",
        json=query,
        headers={"Token": service.demo["kuscia_token"]},
        trust_env=False,
    )


def test_kuscias_messages_parse_strictly(service) -> None:
    answer = kuscia(service, task_id=service.demo["task_id"], container=service.demo["container"], replica_idx=0)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    messages = [parse(line, QueryLogResponse) for line in answer.text.splitlines()]
    assert answer.text.endswith("}\n")
    assert [message.status.code for message in messages] == [0] * len(messages)
    assert sum(message.log.count("\n") + 1 for message in messages) > 5


def test_kuscias_refusals_parse_strictly(service) -> None:
    (line,) = kuscia(service, task_id=service.demo["task_id"]).text.splitlines()
    message = parse(line, QueryLogResponse)
    assert message.status.code == 11100
    assert message.log == message.status.message
