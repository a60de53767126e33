"""download_build_log, download_check_logs and read_log: their answers. test_over_http.py has redirects and links."""

import gzip
import io
import json
import time
import zipfile
import zlib
from collections.abc import Iterator

import pytest

from logkeep.apis.worker import build_ordered_file
from logkeep.aws import clients
from logkeep.aws.dynamo import encode
from logkeep.aws.multipart import Unfinished
from logkeep.downloads.render_store import Renders
from logkeep.errors import LogChanged
from logkeep.logid import LogId
from logkeep.logs.items import head_key
from logkeep.logs.pack_store import packer
from logkeep.logs.reader import Row
from logkeep.logs.store import LogStore, log_store
from logkeep.settings import settings
from tests.calls import PROJECT, RECORD, SUB_JOBS, Answer, append, call, event, log_request, read, seal, send, streamed
from tests.orders import ordered

pytestmark = pytest.mark.usefixtures("aws")
STAGE = f"build/{RECORD}/stage1"
TEXT = (
    b"2026-01-01 10:00:00,000 [main] INFO  Builder - compiling\n"
    b"2026-01-01 10:00:01,000 [main] DEBUG Builder - classpath\n"
    b"  a.jar\n"
    b"  b.jar\n"
    b"2026-01-01 10:00:02,000 [main] ERROR Builder - failed\n"
    b"java.lang.IllegalStateException: no\n"
    b"\tat com.example.Builder.run(Builder.java:42)\n"
    b"2026-01-01 10:00:03,000 [main] DEBUG Builder - cleaning\n"
)
WITHOUT_DEBUG = b"".join(line for i, line in enumerate(TEXT.splitlines(keepends=True)) if i in {0, 4, 5, 6})


def build(query: str, version: str = "", encoding: str | None = "gzip"):
    name = "download_build_log" + version
    return call("download_build_log", event(name, rawQueryString=query, headers={"accept-encoding": encoding}))


@pytest.mark.parametrize("version", ["", "-v4"])
def test_both_paths_give_the_log_of_the_stage(version) -> None:
    append(STAGE, TEXT)
    answer = build("task_name=stage1&log_level=DEBUG", version)
    assert (answer.status, answer.body) == (200, TEXT)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(len(answer.sent))
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="stage1.log"')


@pytest.mark.parametrize("cut", [1, 60, 75, 130, 180, 250])
def test_info_drops_debug_records_with_their_continuations_also_across_fragments(cut) -> None:
    append(STAGE, TEXT[:cut])
    append(STAGE, TEXT[cut:], offset=cut)
    assert build("task_name=stage1").body == WITHOUT_DEBUG
    assert build("task_name=stage1&log_level=INFO", encoding="identity").sent == WITHOUT_DEBUG


@pytest.mark.parametrize(("level", "text"), [("DEBUG", TEXT), ("INFO", WITHOUT_DEBUG)])
def test_compressed_it_is_a_gz_named_after_the_stage(level, text) -> None:
    append(STAGE, TEXT)
    answer = build(f"task_name=stage1&compress=true&log_level={level}")
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Type"] == "application/gzip"
    assert 'filename="stage1.log.gz"' in answer.headers["Content-Disposition"]
    assert gzip.decompress(answer.sent) == text


def test_without_gzip_the_text_is_sent_as_it_is() -> None:
    append(STAGE, TEXT)
    for encodings in (None, "identity", "gzip;q=0, identity", "br"):
        answer = build("task_name=stage1&log_level=DEBUG", encoding=encodings)
        assert ("Content-Encoding" in answer.headers, answer.sent) == (False, TEXT)


@pytest.mark.parametrize(
    ("query", "named"),
    [("", "task_name"), ("task_name=", "task_name"), ("task_name=stage0", "task_name"), ("task_name=../x", "task_name"),
     ("task_name=stage1&log_level=info", "log_level"), ("task_name=stage1&compress=yes", "compress"),
     ("task_name=stage1&task_name=stage2", "task_name")],
)  # fmt: skip
def test_a_bad_parameter_of_build_is_named(query, named) -> None:
    answer = build(query)
    assert (answer.status, answer.json["error_code"]) == (400, "CB.00060200")
    assert f" {named}: " in answer.json["error_msg"]


@pytest.mark.parametrize("record", ["x" * 35, "X" * 36, "x" * 37, "%" * 36])
def test_a_bad_record_id_is_named(record) -> None:
    path = {"rawPath": f"/v1/log/{record}/task-log", "pathParameters": {"record_id": record}}
    answer = call("download_build_log", event("download_build_log", **path))
    assert (answer.status, "record_id: " in answer.json["error_msg"]) == (400, True)


def test_an_unknown_stage_is_a_404() -> None:
    append(STAGE, TEXT)
    answer = build("task_name=stage2")
    assert (answer.status, answer.json["error_code"]) == (404, "CB.00060404")


def test_the_same_log_has_the_same_tag_and_a_grown_one_another() -> None:
    append(STAGE, TEXT)
    first = read(STAGE)
    assert read(STAGE).headers["ETag"] == first.headers["ETag"]
    assert read(STAGE, **{"if-none-match": first.headers["ETag"]}).status == 304
    append(STAGE, b"more\n", offset=None)
    assert read(STAGE, **{"if-none-match": first.headers["ETag"]}).status == 200


def test_a_tag_is_held_also_if_it_is_weak_one_of_several_or_any() -> None:
    append(STAGE, TEXT)

    def asked(held: str, *, streams: bool) -> Answer:
        request = log_request("read_log", STAGE, headers={"if-none-match": held})
        return streamed("read_log", request) if streams else call("read_log", request)

    for streams in (False, True):
        tag = asked("", streams=streams).headers["ETag"]
        for held in (tag, f"W/{tag}", f'"a,b", {tag}', f'"other",W/{tag} , "third"', "*", " * "):
            answer = asked(held, streams=streams)
            assert (answer.status, answer.headers["ETag"]) == (304, tag), held
        for other in ('"other"', "W/", tag.strip('"'), f'"x{tag[1:]}', '"*"', "**", tag[:-1]):
            assert asked(other, streams=streams).status == 200, other
    assert read(f"build/{RECORD}/stage9", **{"if-none-match": "*"}).status == 404


# A whole build


def full(query: str = "", version: str = "-full", encoding: str | None = "gzip"):
    name = "download_build_log" + version
    return call("download_build_log", event(name, rawQueryString=query, headers={"accept-encoding": encoding}))


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("version", ["-full", "-full_v4", "-full_v3"])
def test_all_stages_of_a_record_are_one_text_in_order(version, encoding) -> None:
    append(f"build/{RECORD}/stage10", b"DEBUG: ten\nINFO: ten\n")
    append(f"build/{RECORD}/stage2", b"INFO: two")
    append(f"build/{RECORD}/stage3", b"")
    append(STAGE, TEXT)
    answer = full("log_level=DEBUG", version, encoding)
    assert (answer.status, answer.body) == (200, TEXT + b"INFO: two\nDEBUG: ten\nINFO: ten\n")
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="{RECORD}.log"')
    assert full("", version, encoding).body == WITHOUT_DEBUG + b"INFO: two\nINFO: ten\n"


def test_a_whole_build_compressed_is_a_gz_named_after_the_record() -> None:
    append(STAGE, TEXT)
    answer = full("compress=true")
    assert "Content-Encoding" not in answer.headers
    assert f'filename="{RECORD}.log.gz"' in answer.headers["Content-Disposition"]
    assert gzip.decompress(answer.sent) == WITHOUT_DEBUG


def test_a_whole_build_has_another_tag_when_a_stage_is_added() -> None:
    append(STAGE, TEXT)
    tag = full().headers["ETag"]
    append(f"build/{RECORD}/stage2", b"")
    assert full().headers["ETag"] != tag


def test_a_record_without_stages_is_a_404_and_a_bad_one_a_400() -> None:
    append(STAGE, TEXT)
    assert send("download_build_log-full_unknown_record").json["error_code"] == "CB.00060404"
    for query, named in (("log_level=WARN", "log_level"), ("compress=1", "compress")):
        answer = full(query)
        assert (answer.status, f" {named}: " in answer.json["error_msg"]) == (400, True)
    asked = event("download_build_log-full", rawPath=f"/v1/log/{'x' * 35}/download-log")
    assert " record_id: " in call("download_build_log", asked).json["error_msg"]


# Check


def check(query: str, **headers):
    return call("download_check_logs", event("download_check_logs", rawQueryString=query, headers=headers))


def entries(answer) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(answer.sent))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def test_every_file_of_every_sub_job_is_an_entry_behind_the_manifest() -> None:
    append(f"check/{SUB_JOBS[0]}", b"only log\n")
    append(f"check/{SUB_JOBS[1]}/scan.log", b"scan\n")
    append(f"check/{SUB_JOBS[1]}/report.txt", b"report\n" * 1000)
    seal(f"check/{SUB_JOBS[1]}/scan.log")
    answer = check(f"sub_job_id={SUB_JOBS[1]}&sub_job_id={SUB_JOBS[0]}")
    assert answer.headers["Content-Type"] == "application/zip"
    found = entries(answer)
    manifest = json.loads(found.pop("manifest.json"))
    assert list(found) == [f"{SUB_JOBS[1]}/report.txt", f"{SUB_JOBS[1]}/scan.log", f"{SUB_JOBS[0]}.log"]
    assert found[f"{SUB_JOBS[1]}/report.txt"] == b"report\n" * 1000
    assert manifest["logs"][1] == {
        "id": f"check/{SUB_JOBS[1]}/scan.log",
        "entry": f"{SUB_JOBS[1]}/scan.log",
        "state": "sealed",
        "bytes": 5,
        "lines": 1,
        "crc32": f"{zlib.crc32(b'scan' + bytes([10])):08x}",
    }


def test_ids_are_repeated_or_joined_and_duplicates_dropped() -> None:
    for sub_job in SUB_JOBS:
        append(f"check/{sub_job}", b"x\n")
    joined = check(f"sub_job_id={SUB_JOBS[0]}%2C{SUB_JOBS[1]},{SUB_JOBS[0]}&sub_job_id={SUB_JOBS[1]}")
    assert list(entries(joined)) == ["manifest.json", f"{SUB_JOBS[0]}.log", f"{SUB_JOBS[1]}.log"]
    assert joined.sent == check(f"sub_job_id={SUB_JOBS[0]}&sub_job_id={SUB_JOBS[1]}").sent


def test_names_that_differ_only_in_case_stay_apart() -> None:
    append(f"check/{SUB_JOBS[0]}/A.log", b"upper\n")
    append(f"check/{SUB_JOBS[0]}/a.log", b"lower\n")
    found = entries(check(f"sub_job_id={SUB_JOBS[0]}"))
    assert sorted(found.values())[:1] == [b"lower\n"]
    assert len({name.casefold() for name in found}) == 3


def test_an_unknown_id_among_known_ones_is_a_404_that_names_it() -> None:
    append(f"check/{SUB_JOBS[0]}", b"x\n")
    answer = check(f"sub_job_id={SUB_JOBS[0]},{SUB_JOBS[2]}")
    assert (answer.status, answer.json["error_code"]) == (404, "CC.00070400.404")
    assert SUB_JOBS[2] in answer.json["error_msg"]
    assert SUB_JOBS[0] not in answer.json["error_msg"]


@pytest.mark.parametrize(
    "query",
    ["", "sub_job_id=", "sub_job_id=a,b", f"sub_job_id={SUB_JOBS[0]}x", f"sub_job_id={SUB_JOBS[0]},",
     "sub_job_id=" + "%2F" * 32,
     "sub_job_id=" + ",".join(f"{n:032d}" for n in range(101))],
)  # fmt: skip
def test_bad_sub_job_ids_are_refused(query) -> None:
    answer = check(query)
    assert (answer.status, answer.json["error_code"]) == (400, "CC.00070400.400")
    assert "sub_job_id: " in answer.json["error_msg"]


def test_a_hundred_sub_jobs_with_empty_logs_too() -> None:
    ids = [f"{n:032d}" for n in range(100)]
    for number, each in enumerate(ids):
        append(f"check/{each}", b"x" * (number % 3))
    assert len(entries(check("sub_job_id=" + ",".join(ids)))) == 101


def test_the_event_files_do_what_their_names_say() -> None:
    append(STAGE, TEXT)
    for sub_job in SUB_JOBS:
        append(f"check/{sub_job}", b"x\n")
    assert send("download_build_log").body == WITHOUT_DEBUG
    assert send("download_build_log-v4").body == TEXT
    assert send("download_build_log-full").body == send("download_build_log-full_v3").body == WITHOUT_DEBUG
    assert send("download_build_log-full_v4").body == TEXT
    assert send("download_build_log-no_task_name").status == 400
    assert send("download_build_log-unknown_stage").status == 404
    assert len(entries(send("download_check_logs"))) == 4
    assert send("download_check_logs-unknown_id").status == 404
    assert send("download_check_logs-short_id").status == 400
    assert send("read_log").body == TEXT
    assert send("read_log-unknown_log").json["error_code"] == "LOGKEEP.0404"
    assert send("read_log-no_token").json["error_code"] == "APIGW.0301"


def test_a_file_whose_logs_change_again_and_again_is_to_be_asked_for_later(monkeypatch) -> None:
    def changed(*_: object) -> Iterator[Row]:
        raise LogChanged("packed", 1)

    append(STAGE, TEXT)
    monkeypatch.setattr(LogStore, "stretches", changed)
    answer = read(STAGE)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


@pytest.mark.no_faults("counts orders; one whose answer is lost is sent twice")
def test_a_project_orders_some_renders_at_once_and_builds_the_others_by_its_requests(monkeypatch) -> None:
    append(STAGE, TEXT)
    monkeypatch.setattr(Renders, "build", lambda *_: Unfinished(1))
    monkeypatch.setattr(Renders, "is_ordered", lambda *_: False)
    answers = [read(STAGE, accept="application/json").status for _ in range(15)]
    assert answers == [202] * 15
    assert len(ordered("BuildRender")) == 10


def test_a_file_that_takes_long_is_that_of_the_first_request_however_its_log_grows(monkeypatch) -> None:
    """Else no poll would find it while the log is written, and packed."""
    append(STAGE, TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(Renders, "build", lambda *_: Unfinished(1))
        assert read(STAGE, accept="application/json").status == 202
        (order,) = ordered("BuildRender")
        append(STAGE, b"more\n", len(TEXT))
        assert read(STAGE, accept="application/json").status == 202
        assert ordered("BuildRender") == []
    packer(PROJECT).pack(log_store(PROJECT).head(LogId.parse(STAGE)), time.monotonic() + 60)
    build_ordered_file(order, 900, "")
    append(STAGE, b"and more\n", len(TEXT) + 5)
    assert read(STAGE, accept="application/json").json["raw_size"] == len(TEXT)
    assert read(STAGE, accept="application/json").json["raw_size"] == len(TEXT) + 14


def test_the_plan_of_a_log_that_was_deleted_and_begun_anew_is_not_used(monkeypatch) -> None:
    append(STAGE, TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(Renders, "build", lambda *_: Unfinished(1))
        assert read(STAGE, accept="application/json").status == 202
    key = head_key(PROJECT, LogId.parse(STAGE))
    clients.dynamodb().delete_item(TableName=settings().logs_table, Key=encode(key))
    append(STAGE, b"another\n")
    assert read(STAGE, accept="application/json").json["raw_size"] == 8
