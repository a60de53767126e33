"""Logs of kind app: every writer and reader takes them, and their keys are nobody else's."""

import gzip
import json
import random
from typing import Any

import boto3
import httpx
import pytest

from logkeep.aws.dynamo import decode
from logkeep.errors import Conflict
from logkeep.logid import LogId
from logkeep.logs.head import Totals
from logkeep.logs.items import head_key
from logkeep.logs.store import log_store
from logkeep.settings import settings
from tests.calls import PROJECT, append, call, event, log_request, read, seal
from tests.faults import at_once
from tests.local.service import Service

pytestmark = pytest.mark.usefixtures("aws")
# Names that other partitions of the table have, and other logs as parts of their ids.
IDS = ["app/web", "app/web/api", "app/web/api/2026-11-28", "app/settings", "app/day/20261128/0", "app/due/20261128/0",
       "app/deleted/2026-11", "app/execution/e", "app/job/j/1", "app/app/app", "app/frag/0000000000000000", "app/head",
       "app/registered", "app/projects", "app/" + "/".join("abcdefgh"), "app/..."]  # fmt: skip


def items() -> list[dict[str, Any]]:
    found = boto3.client("dynamodb").scan(TableName=settings().logs_table)["Items"]
    return [decode(item) for item in found]


def test_ids_that_hold_one_another_or_name_other_partitions_are_logs_of_their_own() -> None:
    for log_id in IDS:
        assert append(log_id, f"2026-11-28 08:00:00 INFO of {log_id}\n".encode()).status == 202
    for log_id in IDS:
        assert read(log_id).body == f"2026-11-28 08:00:00 INFO of {log_id}\n".encode()
    listed = call("list_logs", event("list_logs", rawQueryString="prefix=app/")).json["logs"]
    assert [each["log_id"] for each in listed] == sorted(IDS)
    heads = [item["pk"] for item in items() if item["sk"] == "head"]
    assert sorted(heads) == sorted(f"{PROJECT}/{log_id}" for log_id in IDS), "each in a partition of its own"
    for log_id in IDS:
        assert [str(head.log_id) for head in log_store(PROJECT).heads(log_id)] == [log_id]


def test_nothing_but_heads_is_listed_by_id() -> None:
    append("app/web", b"text\n")
    listed = [item for item in items() if item.keys() >= {"project", "log_id"}]
    assert [(item["pk"], item["sk"]) for item in listed] == [(f"{PROJECT}/app/web", "head")]


def test_an_app_log_is_appended_replayed_followed_and_sealed() -> None:
    text = random.Random(1).randbytes(20_000).hex().encode()  # too large for a row
    assert append("app/shop/web", text[:30_000]).status == 202
    assert append("app/shop/web", text[:30_000]).status == 200
    assert append("app/shop/web", text[20_000:], 20_000).status == 202
    assert append("app/shop/web", b"x", 50_000).status == 416
    assert append("app/shop/web", b"other", 0).status == 409
    followed = call("read_log", log_request("read_log", "app/shop/web", "follow=true"))
    records = [json.loads(line) for line in followed.body.splitlines() if line]
    assert "".join(each.get("text", "") for each in records).encode() == text
    assert seal("app/shop/web", bytes=len(text)).json["state"] == "sealed"
    assert append("app/shop/web", b"x", len(text)).status == 409
    assert read("app/shop/web").body == text


def test_an_app_log_cannot_be_registered() -> None:
    answer = append("app/web", b"x\n", registered={"job_id": "a" * 32, "build_no": "1"})
    assert (answer.status, answer.json["error_msg"]) == (400, "job_id: is not a parameter of logs of kind app")


def test_writers_of_a_new_app_log_at_once_begin_it_once() -> None:
    log_id = LogId.parse("app/shop/web")
    store = log_store(PROJECT)
    results = at_once(*[lambda: store.append(log_id, lambda: iter((b"one\n",)), 0) for _ in range(4)])
    assert sorted(grew for _, grew in results) == [False, False, False, True]
    assert head_key(PROJECT, log_id) == {"pk": f"{PROJECT}/app/shop/web", "sk": "head"}
    with pytest.raises(Conflict):
        store.seal(log_id, Totals(bytes=1))


def test_files_and_links_of_an_app_log_over_http(service: Service) -> None:
    text = b"2026-11-28 08:00:00 INFO x\n" * 1000
    with service.client() as client:
        url = f"{service.demo['endpoint']}/v1/{service.demo['project_id']}/logs/app/shop/web%2Fapi.txt"
        sent = client.patch(f"{url}?offset=0", content=text, headers={"Content-Type": "application/octet-stream"})
        assert sent.json()["log_id"] == "app/shop/web/api.txt"
        assert client.get(url).content == text
        link = client.get(url, headers={"Accept": "application/json"}).json()
        assert (link["filename"], link["raw_size"]) == ("api.txt", len(text))
        packed = httpx.get(link["url"], headers={"Accept-Encoding": "identity"}).content
        assert text in (packed, gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else b"")
