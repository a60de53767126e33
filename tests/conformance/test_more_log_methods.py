"""The other log methods of CodeArts Build's and CodeArts Check's SDKs, unchanged, against the running service."""

import gzip
from typing import Any

import httpx
import pytest
from huaweicloudsdkcodeartsbuild.v3 import (
    CodeArtsBuildClient,
    DownloadBuildFullLogRequest,
    DownloadBuildLogRequest,
    DownloadBuildRealTimeLogRequest,
    DownloadLogByRecordIdRequest,
    DownloadRealTimeLogRequest,
    ShowActionIInfoRequest,
)
from huaweicloudsdkcodeartscheck.v2 import CodeArtsCheckClient, ShowTasklogRequest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.sdk_response import SdkResponse

from tests.conformance.sdk import downloaded, with_token
from tests.local.service import Service

# Of the published clients, which are used as they are.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning:huaweicloudsdkcore"
)
STAGES = ("stage1", "stage2", "stage3")


@pytest.fixture
def build(service: Service) -> Any:
    return with_token(CodeArtsBuildClient, service)


@pytest.fixture
def check(service: Service) -> Any:
    return with_token(CodeArtsCheckClient, service)


def text_of(service: Service, log_id: str) -> bytes:
    with service.client() as client:
        return client.get(f"/v1/{service.demo['project_id']}/logs/{log_id}").content


@pytest.fixture(scope="module")
def whole(service: Service) -> bytes:
    """The sample's build: every stage but the last ends with a newline."""
    return b"".join(text_of(service, f"build/{service.demo['record_id']}/{stage}") for stage in STAGES)


def job(service: Service) -> dict[str, Any]:
    return {"job_id": service.demo["job_id"], "build_no": service.demo["build_no"]}


# CodeArts Build: files


@pytest.mark.parametrize("compress", [None, False, True])
def test_download_build_full_log(build, service, whole, compress) -> None:
    wanted = DownloadBuildFullLogRequest(record_id=service.demo["record_id"], log_level="DEBUG", compress=compress)
    got = downloaded(build.download_build_full_log(wanted))
    assert (gzip.decompress(got) if compress else got) == whole
    wanted.log_level = "INFO"
    got = downloaded(build.download_build_full_log(wanted))
    assert b"DEBUG" not in (gzip.decompress(got) if compress else got)


def test_download_build_log(build, service, whole) -> None:
    wanted = DownloadBuildLogRequest(record_id=service.demo["record_id"], log_level="DEBUG")
    assert downloaded(build.download_build_log(wanted)) == whole


def test_download_log_by_record_id(build, service, whole) -> None:
    got = downloaded(build.download_log_by_record_id(DownloadLogByRecordIdRequest(record_id=service.demo["record_id"])))
    assert b"DEBUG" not in got
    assert len(got) > len(whole) // 3
    with pytest.raises(ClientRequestException) as caught:
        build.download_log_by_record_id(DownloadLogByRecordIdRequest(record_id="z" * 36))
    assert (caught.value.status_code, caught.value.error_code) == (404, "CB.00060404")


# CodeArts Build: pages


def test_download_build_real_time_log(build, service, whole) -> None:
    wanted = DownloadBuildRealTimeLogRequest(**job(service), start_offset=0, end_offset=0, sort="AES", size="100")
    pages, more = [], True
    while more:
        found = build.download_build_real_time_log(wanted)
        assert (found.status, found.error, found.result.start_offset) == ("success", None, str(wanted.start_offset))
        pages.append(found.result.log)
        wanted.start_offset, more = found.result.end_offset, found.result.has_more
    assert len(pages) > 3
    assert "".join(pages) == whole.decode()


def test_download_build_real_time_log_backwards(build, service, whole) -> None:
    wanted = DownloadBuildRealTimeLogRequest(**job(service), sort="DESC", size="100")
    pages, more = [], True
    while more:
        found = build.download_build_real_time_log(wanted).result
        pages.append(found.log)
        wanted.end_offset, more = found.start_offset, found.has_more
    assert "".join(reversed(pages)) == whole.decode()


def test_show_action_i_info(build, service, whole) -> None:
    found = build.show_action_i_info(ShowActionIInfoRequest(**job(service), start_offset=0, end_offset=0, sort="AES"))
    assert (found.result.log, found.result.has_more, found.result.location) == (whole.decode(), False, None)
    with pytest.raises(ClientRequestException) as caught:
        build.show_action_i_info(ShowActionIInfoRequest(job_id=service.demo["job_id"], start_offset=0, end_offset=0))
    assert (caught.value.status_code, caught.value.error_code) == (400, "CB.00060200")
    assert "build_no" in caught.value.error_msg


def test_download_real_time_log(build, service, whole) -> None:
    wanted = DownloadRealTimeLogRequest(**job(service), offset=0, length=10_000)
    pages, more = [], True
    while more:
        found = build.download_real_time_log(wanted).result
        assert found.current_offset == wanted.offset
        pages.append(found.content)
        wanted.offset, more = found.offset, found.has_more_data
    assert len(pages) > 2
    assert "".join(pages) == whole.decode()


def test_a_build_that_runs_is_followed(build, service) -> None:
    """A producer registers with its first append; a reader asks until there is no more."""
    record, running_job = "1" * 36, {"job_id": "r" * 32, "build_no": 1}
    with service.client(**{"Content-Type": "application/octet-stream"}) as producer:

        def append(stage: str, offset: int, text: str, **query: Any) -> httpx.Response:
            path = f"/v1/{service.demo['project_id']}/logs/build/{record}/{stage}"
            return producer.patch(path, params={"offset": offset, **query}, content=text.encode())

        assert append("stage1", 0, "one\n", **running_job).status_code == 202
        first = build.download_build_real_time_log(DownloadBuildRealTimeLogRequest(**running_job)).result
        assert (first.log, first.has_more) == ("one\n", True)
        append("stage1", 4, "two\n")
        append("stage2", 0, "three\n", **running_job)
        for stage in ("stage1", "stage2"):
            producer.put(f"/v1/{service.demo['project_id']}/logs/build/{record}/{stage}", content=b"")
    wanted = DownloadBuildRealTimeLogRequest(**running_job, start_offset=first.end_offset)
    last = build.download_build_real_time_log(wanted).result
    assert (last.log, last.has_more) == ("two\nthree\n", False)


# CodeArts Check


def test_show_tasklog(check, service) -> None:
    names = {"project_id": service.demo["project_id"], "task_id": service.demo["check_task_id"]}
    latest = check.show_tasklog(ShowTasklogRequest(**names))
    named = check.show_tasklog(ShowTasklogRequest(**names, execute_id=service.demo["execute_id"]))
    assert latest.to_json_object() == named.to_json_object()
    logs = {each.display_name: each for each in named.log_info}
    assert {name.split("/")[0].removesuffix(".log") for name in logs} == set(service.demo["sub_job_ids"])
    assert {each.level for each in logs.values()} == {"WARN"}
    first = service.demo["sub_job_ids"][0]
    assert logs[f"{first}.log"].log == text_of(service, f"check/{first}").decode()
    assert named.param_info.url is None


def test_show_tasklog_of_what_is_not_there_or_not_ours(check, service) -> None:
    for project, execute_id, expected in (
        (service.demo["project_id"], "none", (404, "CC.00070400.404")),
        ("f" * 32, None, (403, "CC.00070400.403")),
    ):
        task = service.demo["check_task_id"]
        with pytest.raises(ClientRequestException) as caught:
            check.show_tasklog(ShowTasklogRequest(project_id=project, task_id=task, execute_id=execute_id))
        assert (caught.value.status_code, caught.value.error_code) == expected


class ShowLogResponse(SdkResponse):
    """The documented answer of ShowLog, which the SDK has no method for."""

    sensitive_list: list[str] = []
    openapi_types = {"result": "object", "error": "str", "status": "str"}
    attribute_map = {name: name for name in openapi_types}

    def __init__(self, **values: Any) -> None:
        super().__init__()
        for name in self.openapi_types:
            setattr(self, name, values.get(name))


def test_show_log_through_the_clients_generic_call(check, service) -> None:
    check.model_package.ShowLogResponse = ShowLogResponse
    sub_job = service.demo["sub_job_ids"][0]
    found = check.call_api(
        "/v1/console-log",
        "GET",
        query_params=[("job_id", sub_job), ("start_offset", 0), ("end_offset", 0), ("size", 10), ("sort", None)],
        header_params={},
        response_type="ShowLogResponse",
    )
    lines = text_of(service, f"check/{sub_job}").decode().splitlines(keepends=True)
    assert found.result["logs"] == "".join(lines[-10:])
    assert (found.result["hasMore"], found.status) == (True, "success")
