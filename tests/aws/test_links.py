"""Links name the host of their region, with which alone their signature is valid from the first day on."""

from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from logkeep.aws.clients import s3_config

pytestmark = pytest.mark.unit

KEYS: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("us-east-1", "amazonaws.com"),  # whose host needs no region
        ("eu-central-1", "amazonaws.com"),
        ("ap-east-1", "amazonaws.com"),
        ("eu-south-1", "amazonaws.com"),
        ("af-south-1", "amazonaws.com"),
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
    ],
)
def test_a_link_names_the_host_of_its_region(monkeypatch: pytest.MonkeyPatch, region: str, domain: str) -> None:
    for endpoint in ("", None):
        if endpoint is None:
            monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        else:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        s3 = boto3.client("s3", region_name=region, **KEYS, config=s3_config())
        link = s3.generate_presigned_url("get_object", Params={"Bucket": "logkeep-bucket-abc", "Key": "k"})
        place = "" if region == "us-east-1" else f"{region}."
        assert urlsplit(link).hostname == f"logkeep-bucket-abc.s3.{place}{domain}"
        assert f"%2F{region}%2Fs3%2F" in link


def test_an_emulator_gets_the_bucket_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    s3 = boto3.client("s3", region_name="eu-central-1", **KEYS, config=s3_config())
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "logkeep-bucket-abc", "Key": "k"})
    assert link.startswith("http://127.0.0.1:4566/logkeep-bucket-abc/k?")
