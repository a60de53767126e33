"""boto3 clients, made on first use so that a function pays only for those it needs. Their requests are counted."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from logkeep.aws import usage

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sts import STSClient

# An HTTP function has 29 s: an attempt that hangs must leave time for another.
_CONFIG: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
# S3 answers these when it is done, which takes minutes for a copy of up to 5 GiB.
_LONG: Final = ("UploadPartCopy", "CompleteMultipartUpload")
_LONG_TIMEOUT: Final = (3, 600)  # seconds to connect, and to read


def s3_config() -> Config:
    """Signature V4, for links with response overrides. The bucket is in the path if an emulator is the endpoint.

    Otherwise it is in the name of the region's host. With "auto" links would name s3.amazonaws.com, which knows new
    buckets of other regions only after a day, and those of regions opened since 2019 never
    (docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html).
    """
    emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
    return _CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "path" if emulated else "virtual"}))


def _counted[C](client: C) -> C:
    usage.count(client)
    return client


@cache
def s3() -> S3Client:
    client = _counted(boto3.client("s3", config=s3_config()))
    for operation in _LONG:
        # The time-outs of a client are those of all its requests. What a handler returns is taken for the answer.
        client.meta.events.register_last(f"before-send.s3.{operation}", _send_patiently)  # type: ignore[arg-type]  # as above
    return client


def _send_patiently(request: AWSPreparedRequest, **_: object) -> AWSResponse:
    proxies = get_environ_proxies(request.url)
    return URLLib3Session(timeout=_LONG_TIMEOUT, proxies=proxies).send(request)  # type: ignore[arg-type]  # takes a pair


@cache
def dynamodb() -> DynamoDBClient:
    return _counted(boto3.client("dynamodb", config=_CONFIG))


@cache
def functions() -> LambdaClient:
    return _counted(boto3.client("lambda", config=_CONFIG))


@cache
def sns() -> SNSClient:
    return _counted(boto3.client("sns", config=_CONFIG))


@cache
def sts() -> STSClient:
    return _counted(boto3.client("sts", config=_CONFIG))


@cache
def kms() -> KMSClient:
    return _counted(boto3.client("kms", config=_CONFIG))


@cache
def secretsmanager() -> SecretsManagerClient:
    return _counted(boto3.client("secretsmanager", config=_CONFIG))


def region() -> str:
    return dynamodb().meta.region_name
