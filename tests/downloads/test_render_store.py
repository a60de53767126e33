"""Renders against the emulator: built in parts, continued, raced for, and linked."""

import gzip
import random
import time
import zlib
from collections.abc import Generator
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace

import httpx
import isal
import pytest
from botocore.exceptions import ClientError

from logkeep.apis.check.files import CheckFile
from logkeep.aws import clients
from logkeep.aws import multipart as uploads
from logkeep.aws.multipart import Unfinished
from logkeep.aws.parts import PART_MIN
from logkeep.downloads.render_store import KEPT_DAYS, ORDER_LIVES, Renders, renders
from logkeep.downloads.rendition import Rendition, log_file
from logkeep.extents import Extent, Facts, ObjectRange
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from tests.calls import PROJECT
from tests.conftest import marked
from tests.faults import Killed, at_once, counted, killed
from tests.rewinding import Rewinding

pytestmark = pytest.mark.usefixtures("aws")
LOG = LogId.parse("build/record/stage1")
LATE = float("-inf")
NEVER = float("inf")


@pytest.fixture(scope="module")
def noise() -> bytes:
    """40 MB that deflate to 20: two parts and a bit."""
    return random.Random(9).randbytes(20 << 20).hex().encode()


@pytest.fixture(scope="module")
def written(noise: bytes, emulator: Rewinding, environment: dict[str, str]) -> None:
    with marked("noise", emulator, environment):
        for start in range(0, len(noise), 4 << 20):
            piece = noise[start : start + (4 << 20)]
            log_store(PROJECT).append(LOG, partial(iter, (piece,)), start)


@pytest.fixture
def made(written: None, aws: None, emulator: Rewinding) -> Rendition:
    emulator.rewind("noise")
    store = log_store(PROJECT)
    return log_file(store, [store.head(LOG)], "stage1.log", "text/plain", gzip=True)


@pytest.fixture
def store(aws) -> Renders:
    return renders(PROJECT)


def content(store: Renders, made: Rendition, facts: Facts) -> bytes:
    return b"".join(store.stored(made, facts).content())


def test_a_large_render_is_built_in_parts_and_found_again(store, made, noise) -> None:
    with counted() as requests:
        facts = built(store, made)
    assert requests["UploadPart"] == 2
    assert facts == made.expected
    assert gzip.decompress(content(store, made, facts)) == noise
    with counted() as requests:
        assert store.find(made) == facts
    assert requests == {"GetObject": 1}


def test_a_small_render_is_put_at_once(store) -> None:
    logs = log_store(PROJECT)
    logs.append(LOG, lambda: iter((b"small\n",)), 0)
    made = log_file(logs, [logs.head(LOG)], "x.log", "text/plain", gzip=False)
    with counted() as requests:
        facts = built(store, made)
    assert (requests["PutObject"], requests["CreateMultipartUpload"]) == (2, 0)
    assert content(store, made, facts) == b"small\n"


def built(store: Renders, made: Rendition) -> Facts:
    facts = store.build(made, NEVER)
    assert isinstance(facts, Facts)
    return facts


def test_a_build_that_runs_out_of_time_is_continued_behind_its_finished_parts(store, made, noise, monkeypatch) -> None:
    monkeypatch.setattr("logkeep.aws.multipart.part_size_for", lambda _: PART_MIN)
    assert store.build(made, LATE) == Unfinished(0)
    assert store.find(made) is None
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    put_part = uploads._put_part

    def slow(*arguments) -> dict[str, str]:
        clock.now += 1
        return put_part(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("logkeep.aws.multipart.time", clock)
        patch.setattr(uploads, "_put_part", slow)
        assert store.build(made, 1.0) == Unfinished(2)
        assert store.build(made, 1.0) == Unfinished(0), "time is up among the finished parts"
    with counted() as requests:
        facts = built(store, made)
    assert requests["UploadPart"] == 3
    assert requests["CreateMultipartUpload"] == 0
    assert gzip.decompress(content(store, made, facts)) == noise


def test_many_small_files_run_out_of_time_too(store) -> None:
    logs = log_store(PROJECT)
    for number in range(20):
        logs.append(LogId.parse(f"check/{'a' * 32}/{number}.log"), partial(iter, (b"small\n",)), 0)
    made = CheckFile(sub_job_ids=["a" * 32]).rendition(logs, gzip=True)
    with counted() as requests:
        assert store.build(made, LATE) == Unfinished(0)
    assert requests.total() == 0


def test_an_order_is_remembered_for_as_long_as_a_worker_may_be_at_it(store, made, monkeypatch) -> None:
    assert not store.is_ordered(made)
    store.mark_ordered(made)
    assert store.is_ordered(made)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + ORDER_LIVES

    monkeypatch.setattr("logkeep.downloads.render_store.datetime", Later)
    assert not store.is_ordered(made)


@pytest.mark.parametrize(
    ("operation", "after"),
    [("CreateMultipartUpload", True), ("UploadPart", False), ("UploadPart", True), ("CompleteMultipartUpload", False),
     ("CompleteMultipartUpload", True), ("PutObject", False), ("PutObject", True)],
)  # fmt: skip
def test_a_build_that_is_killed_is_completed_by_the_next(store, made, noise, operation, after) -> None:
    with killed(clients.s3(), operation, after=after), pytest.raises(Killed):
        store.build(made, NEVER)
    found = store.find(made)
    assert (found is not None) == (operation == "PutObject" and after), "what is found is whole"
    facts = built(store, made)
    assert gzip.decompress(content(store, made, facts)) == noise


def test_two_builders_at_once_make_one_render(store, made, noise) -> None:
    results = at_once(*[lambda: store.build(made, NEVER) for _ in range(3)])
    finished = [each for each in results if isinstance(each, Facts)]
    assert set(finished) == {made.expected}
    assert gzip.decompress(content(store, made, finished[0])) == noise


def test_a_render_that_the_lifecycle_may_take_is_built_again(store, monkeypatch) -> None:
    logs = log_store(PROJECT)
    logs.append(LOG, lambda: iter((b"small\n",)), 0)
    made = log_file(logs, [logs.head(LOG)], "x.log", "text/plain", gzip=False)
    store.build(made, NEVER)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=KEPT_DAYS - 1, minutes=1)

    monkeypatch.setattr("logkeep.downloads.render_store.datetime", Later)
    assert store.find(made) is None


def test_a_link_gives_the_file_with_its_name_and_encoding_and_says_when_it_ends(store, made, noise) -> None:
    facts = built(store, made)
    link = store.stored(made, facts).link()
    assert abs(link.expires_at / 1000 - time.time() - 900) < 5
    assert (link.size, link.raw_size, link.crc32) == (facts.size, len(noise), f"{zlib.crc32(noise):08x}")
    with httpx.stream("GET", link.url, trust_env=False) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Type"] == "text/plain"
        assert answer.headers["Content-Disposition"].startswith('attachment; filename="stage1.log"')
        assert len(b"".join(answer.iter_raw())) == facts.size


def test_links_are_signed_by_one_session_until_it_nears_its_end(store, made, monkeypatch) -> None:
    facts = built(store, made)
    calls = 0
    real = clients.sts().assume_role

    def counting(**arguments):
        nonlocal calls
        calls += 1
        answer = real(**arguments)
        if calls == 1:  # as if 41 minutes had gone by
            answer["Credentials"]["Expiration"] -= timedelta(minutes=41)
        return answer

    monkeypatch.setattr(clients.sts(), "assume_role", counting)
    store.stored(made, facts).link()
    store.stored(made, facts).link()
    store.stored(made, facts).link()
    assert calls == 2


def test_long_ranges_are_copied_by_s3_and_the_rest_is_moved(store, objects) -> None:
    """A layout with ranges in large objects, as compaction leaves them."""
    body = random.Random(4).randbytes(40 << 20)
    objects.s3.put_object(Bucket=objects.bucket, Key="logs/large", Body=body)
    extents: list[Extent] = [
        b"head",
        ObjectRange("logs/large", 1000, 30 << 20),
        b"middle",
        ObjectRange("logs/large", 5, 100),
    ]
    whole = b"head" + body[1000 : 1000 + (30 << 20)] + b"middle" + body[5:105]

    def make() -> Generator[Extent, None, Facts]:
        yield from extents
        return Facts(len(whole), len(whole), zlib.crc32(whole))

    made = Rendition(
        identity="copied", filename="x", content_type="x/x", content_encoding=None, expected=None,
        estimate=len(whole), make=make,
    )  # fmt: skip
    with counted() as requests:
        facts = built(store, made)
    assert requests["UploadPartCopy"] == 1
    assert content(store, made, facts) == whole


def test_equal_logs_give_one_render_and_a_new_compressor_another(store, made, monkeypatch) -> None:
    logs = log_store(PROJECT)
    again = log_file(logs, [logs.head(LOG)], "other name", "text/plain", gzip=True)
    assert again.identity == made.identity
    monkeypatch.setattr(isal, "__version__", "99")
    assert log_file(logs, [logs.head(LOG)], "x", "text/plain", gzip=True).identity != made.identity


def test_what_s3_refuses_is_no_missing_render(store, made, monkeypatch) -> None:
    def refuse(**_):
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    monkeypatch.setattr(clients.s3(), "get_object", refuse)
    with pytest.raises(ClientError):
        store.find(made)
