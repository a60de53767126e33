"""The huaweicloudsdk clients, unchanged, pointed at the running service."""

from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.sdk_stream_response import SdkStreamResponse

from tests.local.service import Service


def with_token(kind: Any, service: Service) -> Any:
    """A client that proves itself with X-Auth-Token and nothing else."""
    credentials = BasicCredentials("unused", "unused", service.demo["project_id"])
    builder = kind.new_builder().with_http_config(HttpConfig(timeout=(5, 60))).with_credentials(credentials)
    client = builder.with_endpoint(service.demo["endpoint"]).build()
    client.preset_headers["X-Auth-Token"] = service.demo["token"]
    client.preset_headers["Authorization"] = None
    return client


def downloaded(response: SdkStreamResponse) -> bytes:
    assert response.status_code == 200
    chunks: list[bytes] = []
    response.consume_download_stream(lambda r: chunks.extend(r.iter_content(65536)))
    return b"".join(chunks)
