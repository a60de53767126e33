"""Each kind of fault of `pytest --faults`: it happens, and what was written and read is right all the same."""

import io
import random
import zipfile
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.retries.standard import ExponentialBackoff

from local.faults import Fault, Faults
from local.template import Template
from logkeep.aws import clients, parts
from logkeep.clock import now_ms
from logkeep.settings import settings
from tests import calls
from tests.calls import SUB_JOBS, TASK, append, list_events, log_request, put_events, read, seal, send, streamed
from tests.conftest import Objects
from tests.examples import LONG

pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.no_faults("puts its own"), pytest.mark.soak]
CHANCE = random.Random(7)
SMALL, LARGE, MORE = b"2026-11-22 INFO a line\n" * 10, CHANCE.randbytes(20_000), b"more\n"
SHARES = {Fault.CUT: 0.5, Fault.EXHAUSTED: 0.1, Fault.UNDONE: 1.0, Fault.UNPROCESSED: 1.0}
SEEDS = range(5 if LONG else 1)


@pytest.fixture(params=[each for each in Fault if each is not Fault.DENIED])
def faults(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Some of the requests meet one: more where few can, fewer where a call ends by it."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    monkeypatch.setattr("logkeep.aws.dynamo.time.sleep", lambda _: None)
    monkeypatch.setattr(calls, "tries", 50)
    monkeypatch.setattr(parts, "PART_SIZE", 16_384)  # so that the ZIP has two parts, of which S3 copies one
    monkeypatch.setattr(parts, "PART_MIN", 1)
    monkeypatch.setattr("logkeep.web.delivery.ANSWER_MAX", 30_000)
    made = Faults("", Template.load(), kinds={request.param}, share=SHARES.get(request.param, 0.3))
    for client in (clients.s3(), clients.dynamodb(), clients.functions(), clients.sts(), clients.kms()):
        made.attach(client)
    yield made
    assert made.counts[request.param], "it never happened"
    assert set(made.counts) == {request.param}
    assert all(type(each) is str for each in made.counts), "execnet sends no enumeration"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_fault_loses_doubles_or_changes_anything(faults: Faults, seed: int) -> None:
    faults.begin(str(seed))
    texts = dict(zip(SUB_JOBS, (SMALL, LARGE, LARGE), strict=True))
    for id_, text in texts.items():
        name = f"check/{id_}"
        assert append(name, text).status in {200, 202}
        assert append(name, text).status == 200, "repeated, it changes nothing"
        assert append(name, MORE, len(text)).status in {200, 202}
        assert seal(name, bytes=len(text + MORE)).json["state"] == "sealed"
        assert read(name, **{"accept-encoding": "identity"}).sent == text + MORE
        assert streamed("read_log", log_request("read_log", name)).sent == text + MORE
    assert len(send("list_logs", rawQueryString="prefix=check/").json["logs"]) == 3

    link = send("download_check_logs", headers={"accept": "application/json"})
    key = urlsplit(link.json["url"]).path.split("/", 2)[2]
    found = boto3.client("s3").get_object(Bucket=settings().bucket, Key=key)["Body"].read()
    packed = zipfile.ZipFile(io.BytesIO(found))
    assert {id_: packed.read(f"{id_}.log") for id_ in texts} == {id_: text + MORE for id_, text in texts.items()}

    now = now_ms()
    events = [{"event_type": "normal", "event_info": f"event {n}", "occur_time": now + n} for n in range(3)]
    answers = [put_events(events, key="once", service_name="s").json for _ in range(2)]
    assert [sum(each.values()) for each in answers] == [3, 3]
    assert answers[1] == {"accepted": 0, "duplicates": 3}
    assert list_events().json["count"] == 3


def test_a_missing_object_is_named_to_a_function_that_may_not_list(objects: Objects) -> None:
    made = Faults("", Template.load(), kinds={Fault.DENIED})
    made.attach(clients.s3())
    append(f"task/{TASK}/0/secretflow/0", LARGE)
    for key in objects.keys("logs/"):
        boto3.client("s3").delete_object(Bucket=settings().bucket, Key=key)
    answer = send("query_task_log")
    assert made.counts == {Fault.DENIED: 1}
    assert "is missing" in answer.body.decode()
