"""What the tests of the vendors' clients share: the running service, its credentials, and clients of it."""

import os
import time
from typing import Any, Final

import boto3
import pytest
from huaweicloudsdkcodeartscheck.v2 import CodeArtsCheckClient
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.sdk_stream_response import SdkStreamResponse
from huaweicloudsdkmodelarts.v1 import ModelArtsClient

from local import REGION
from local.emulator import KEY, physical_name, values_of
from local.template import Template
from logkeep.identity.credential_store import CredentialStore
from logkeep.identity.credentials import Kind
from tests.calls import PROJECT, credential
from tests.local.service import Service

# Of the published clients, which are used as they are.
IGNORED: Final = [
    pytest.mark.filterwarnings(
        r"ignore:datetime.datetime.utcnow\(\) is deprecated:DeprecationWarning:huaweicloudsdkcore"
    ),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]


def aws(service: Service, name: str) -> Any:
    """A client of the emulator behind a service."""
    return boto3.client(
        name,  # type: ignore[call-overload]  # the stubs want a literal
        endpoint_url=f"http://127.0.0.1:{service.emulator_port}",
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
    )


def store_of(service: Service) -> CredentialStore:
    return CredentialStore(aws(service, "dynamodb"), aws(service, "kms"), physical_name("CredentialsTable"))


def put_access_key(service: Service, id: str, secret: str, project: str = PROJECT, **changes: Any) -> None:
    key = values_of(Template.load(), f"http://127.0.0.1:{service.emulator_port}")["CredentialsKey"]
    store_of(service).put_access_key(credential(Kind.ACCESS_KEY, id=id, project=project, **changes), secret, key)


def empty_bucket(service: Service, bucket: str) -> None:
    """Let a bucket of table Limits be empty for an hour."""
    full_at = str((int(time.time()) + 3600) * 1_000_000)
    item = {"pk": {"S": bucket}, "full_at": {"N": full_at}}
    aws(service, "dynamodb").put_item(TableName=physical_name("LimitsTable"), Item=item)


def client(service: Service, kind: Any, token: str | None = None, **changes: str) -> Any:
    """Of the vendor, signing; with a token, not signing."""
    demo = {**service.demo, **changes}
    credentials = BasicCredentials(demo["ak"], demo["sk"], demo["project_id"])
    builder = kind.new_builder().with_http_config(HttpConfig(timeout=(5, 60))).with_credentials(credentials)
    made = builder.with_endpoint(demo["endpoint"]).build()
    if token is not None:
        made.preset_headers |= {"X-Auth-Token": token, "Authorization": None}
    return made


class StreamResponse(SdkStreamResponse):
    sensitive_list: tuple[str, ...] = ()
    openapi_types: dict[str, str] = {}  # noqa: RUF012 - as the SDKs declare theirs
    attribute_map: dict[str, str] = {}  # noqa: RUF012 - as the SDKs declare theirs


def check_logs(made: Any, sub_job: str) -> Any:
    """Of CodeArts Check's client, which lacks the published operation."""
    assert isinstance(made, CodeArtsCheckClient)
    made.model_package.DownloadLogResponse = StreamResponse
    query = [("sub_job_id", sub_job)]
    return made.call_api(
        "/v1/log-file", "GET", query_params=query, header_params={}, response_type="DownloadLogResponse"
    )


def service_events(made: Any, service_id: str) -> Any:
    """Of ModelArts' client, which lacks the published operation."""
    assert isinstance(made, ModelArtsClient)
    made.model_package.ShowServiceEventsResponse = StreamResponse
    return made.call_api(
        "/v1/{project_id}/services/{service_id}/events",
        "GET",
        path_params={"service_id": service_id},
        query_params=[("limit", 2)],
        header_params={},
        response_type="ShowServiceEventsResponse",
    )


def environment(service: Service, **variables: str) -> dict[str, str]:
    """Of a user's shell, in which no program but its environment was changed."""
    endpoint = service.demo["endpoint"]
    names = ("CSS", "CODEARTSBUILD", "CODEARTSCHECK", "MODELARTS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HUAWEICLOUD_"))}
    return {
        **kept,
        **{f"HUAWEICLOUD_SDK_REGION_{name}_CN_NORTH_4": endpoint for name in names},
        "HUAWEICLOUD_SDK_IAM_ENDPOINT": endpoint,
        "CLOUD_SDK_AK": service.demo["ak"],
        "CLOUD_SDK_SK": service.demo["sk"],
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **variables,
    }
