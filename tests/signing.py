"""Requests signed by the vendors' own signer, and the events that gateways make of them."""

import base64
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote, unquote

from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from local.sample import AK, SK
from logkeep.identity.http import body_of
from tests.calls import event

HOST: Final = "logs.example.com"
FUNCTION_URL: Final = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws"
GATEWAYS: Final = ("HTTP API", "Function URL")


def stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def sdk_sign(request: SdkRequest, secret: str = SK, access_key: str = AK) -> dict[str, str]:
    """The headers that the SDK sends, names in lower case; the request's uri becomes what it asks for."""
    Signer(SimpleNamespace(ak=access_key, sk=secret)).sign(request)
    return {name.lower(): value for name, value in request.header_params.items()}


def signed(
    asked: dict[str, Any],
    *,
    gateway: str = "HTTP API",
    keys: tuple[str, str] = (AK, SK),
    headers: Mapping[str, str] | None = None,
    age: float = 0,
) -> dict[str, Any]:
    """An event with the SDK's signature in place of any token, `age` seconds old, as a gateway hands it over."""
    host = HOST if gateway == "HTTP API" else FUNCTION_URL
    sent = {"X-Sdk-Date": stamp(time.time() - age), "User-Agent": "huaweicloud-usdk-python/3.0", **(headers or {})}
    sent.setdefault("Content-Type", asked["headers"].get("content-type", "application/json"))
    pairs = [pair.partition("=") for pair in asked["rawQueryString"].split("&") if pair]
    request = SdkRequest(
        method=asked["requestContext"]["http"]["method"],
        host=host,
        resource_path=quote(asked["rawPath"]),
        query_params=[(unquote(name), unquote(value)) for name, _, value in pairs],
        header_params=sent,
        body=body_of(asked),
    )
    proof = sdk_sign(request, keys[1], keys[0])
    kept = {name: value for name, value in asked["headers"].items() if name not in {"x-auth-token", "token"}}
    path, _, query = request.uri.partition("?")
    context = {**asked["requestContext"], "domainName": host}
    made = {**asked, "headers": kept | proof, "rawQueryString": query, "requestContext": context}
    if gateway == "HTTP API":
        return made
    body = {"body": base64.b64encode(request.body).decode(), "isBase64Encoded": True} if request.body else {}
    made = {**made, **body, "rawPath": path, "routeKey": "$default"}
    made["requestContext"]["http"] = {**context["http"], "path": path}
    made["requestContext"]["routeKey"] = "$default"
    made.pop("pathParameters", None)
    return json.loads(json.dumps(made))


def send_signed(name: str, **how: Any) -> dict[str, Any]:
    """The event of that name, signed."""
    return signed(event(name), **how)
