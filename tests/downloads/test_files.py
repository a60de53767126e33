import gzip
import io
import zipfile
from typing import Any

import pytest
from pydantic import ValidationError

from logkeep.apis.build.files import BuildLogQuery, build_log_file
from logkeep.apis.check import files
from logkeep.apis.check.files import CheckFile, CheckLogsQuery
from logkeep.apis.worker import AnyFile
from logkeep.downloads.files import LogFile, text_file
from logkeep.downloads.orders import FileOrder
from logkeep.errors import Invalid, LogNotFound, TooLarge
from logkeep.logid import LogId
from logkeep.web.parsing import query_model
from tests.memory import MemoryLogs, content, made

pytestmark = pytest.mark.unit

RECORD = "0123456789abcdefghijklmnopqrstuvwxyz"
A, B = "a" * 32, "b" * 32


def query(**values: Any) -> BuildLogQuery:
    return BuildLogQuery.model_validate({"task_name": "stage1"} | values)


@pytest.mark.parametrize("name", ["stage1", "stage10", "stage999999999"])
def test_a_build_task_is_named_by_the_number_of_its_action(name: str):
    assert query(task_name=name).task_name == name


@pytest.mark.parametrize(
    "values",
    [
        {"task_name": "stage0"},
        {"task_name": "stage01"},
        {"task_name": "stage"},
        {"task_name": "Stage1"},
        {"task_name": "stage1 "},
        {"task_name": "stage1\n"},
        {"task_name": "stage1234567890"},
        {"task_name": "stage\u0661"},
        {"task_name": "../stage1"},
        {"task_name": None},
        {"log_level": "info"},
        {"log_level": "WARN"},
        {"compress": "yes"},
        {"compress": "1"},
    ],
    ids=str,
)
def test_a_build_query_that_the_table_does_not_allow_is_refused(values: dict[str, Any]):
    with pytest.raises(ValidationError):
        query(**values)


def test_a_build_log_is_plain_and_without_debug_unless_asked_otherwise():
    assert build_log_file(RECORD, query()) == LogFile(
        log_id=f"build/{RECORD}/stage1",
        filename="stage1.log",
        content_type="application/octet-stream",
        without_debug=True,
    )


def test_a_compressed_build_log_is_a_gz_file():
    assert build_log_file(RECORD, query(compress="TRUE", log_level="DEBUG")) == LogFile(
        log_id=f"build/{RECORD}/stage1",
        filename="stage1.log.gz",
        content_type="application/gzip",
        as_file=True,
        without_debug=False,
    )


@pytest.mark.parametrize("record_id", ["", RECORD[1:], RECORD + "0", RECORD.upper(), "." * 36, RECORD[1:] + "\n"])
def test_a_record_id_is_36_digits_small_letters_and_hyphens(record_id: str):
    with pytest.raises(Invalid) as caught:
        build_log_file(record_id, query())
    assert caught.value.field == "record_id"


@pytest.mark.parametrize(
    ("log_id", "filename"),
    [
        ("build/0123/stage1", "stage1.log"),
        ("check/0123/out.txt", "out.txt"),
        ("check/0123/out.log", "out.log"),
        ("check/0123", "0123.log"),
        ("task/t/0/main/2", "2.log"),
    ],
)
def test_a_text_is_named_after_the_last_segment(log_id: str, filename: str):
    file = text_file(LogId.parse(log_id))
    assert (file.log_id, file.filename) == (log_id, filename)
    assert (file.content_type, file.as_file, file.without_debug) == ("text/plain; charset=utf-8", False, False)


@pytest.mark.parametrize(("as_file", "gzip_taken"), [(True, False), (True, True), (False, True), (False, False)])
def test_a_gz_file_is_compressed_for_every_client_and_a_text_for_those_that_take_it(as_file: bool, gzip_taken: bool):
    logs = MemoryLogs()
    logs.append("build/0123/stage1", b"DEBUG: x\nINFO: y\n")
    file = LogFile(
        log_id="build/0123/stage1", filename="a", content_type="b", as_file=as_file, without_debug=True
    ).rendition(logs, gzip=gzip_taken)
    data = content(made(file)[0])
    assert (gzip.decompress(data) if as_file or gzip_taken else data) == b"INFO: y\n"
    assert file.content_encoding == ("gzip" if gzip_taken and not as_file else None)
    assert (file.filename, file.content_type) == ("a", "b")


def test_a_log_that_does_not_exist_is_not_found():
    with pytest.raises(LogNotFound):
        text_file(LogId.parse("build/0123/stage1")).rendition(MemoryLogs(), gzip=True)


def checked(ids: list[str]) -> MemoryLogs:
    logs = MemoryLogs()
    for each in ids:
        logs.append(f"check/{each}", b"whole\n")
        logs.append(f"check/{each}/lint.log", b"lint\n")
    return logs


def test_all_logs_of_all_sub_jobs_are_in_the_zip_in_the_order_of_the_request():
    file = CheckFile(sub_job_ids=[B, A]).rendition(checked([A, B]), gzip=False)
    archive = zipfile.ZipFile(io.BytesIO(content(made(file)[0])))
    names = ["manifest.json", f"{B}.log", f"{B}/lint.log", f"{A}.log", f"{A}/lint.log"]
    assert archive.namelist() == names
    assert archive.read(f"{B}/lint.log") == b"lint\n"
    assert file.filename == "logs.zip"


def test_the_zip_of_one_sub_job_bears_its_name_and_is_the_same_for_every_client():
    logs = checked([A, B])
    plain, packed = (CheckFile(sub_job_ids=[A]).rendition(logs, gzip=gzip) for gzip in (False, True))
    assert plain.filename == f"{A}.zip"
    assert plain.identity == packed.identity


def test_sub_jobs_without_logs_are_named_and_nothing_is_made():
    with pytest.raises(LogNotFound) as caught:
        CheckFile(sub_job_ids=["c" * 32, A, "d" * 32]).rendition(checked([A]), gzip=False)
    assert "c" * 32 in str(caught.value)
    assert "d" * 32 in str(caught.value)
    assert A not in str(caught.value)


def test_more_logs_than_a_zip_may_hold_are_too_large(monkeypatch: pytest.MonkeyPatch):
    logs = checked([A, B])
    monkeypatch.setattr(files, "ZIP_ENTRIES_MAX", 4)
    CheckFile(sub_job_ids=[A, B]).rendition(logs, gzip=False)
    monkeypatch.setattr(files, "ZIP_ENTRIES_MAX", 3)
    with pytest.raises(TooLarge):
        CheckFile(sub_job_ids=[A, B]).rendition(logs, gzip=False)


def sub_job_ids(values: list[str]) -> list[str]:
    return query_model(CheckLogsQuery, {"sub_job_id": values} if values else {}, {}).sub_job_id


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([A], [A]),
        ([A, B], [A, B]),
        ([f"{B},{A}"], [B, A]),
        ([A, f"{B},{A}", B], [A, B]),
    ],
)
def test_sub_job_ids_may_be_repeated_or_joined_and_count_once(values: list[str], ids: list[str]):
    assert sub_job_ids(values) == ids


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        [A, ""],
        [f"{A},"],
        [f"{A}, {B}"],
        ["a" * 31],
        ["a" * 33],
        ["a" * 31 + "/"],
        ["é" * 32],
        [f"{number:032}" for number in range(101)],
    ],
    ids=lambda values: f"{len(values)} {values[:2]}",
)
def test_sub_job_ids_that_are_none_malformed_or_too_many_are_refused(values: list[str]):
    with pytest.raises(Invalid) as caught:
        sub_job_ids(values)
    assert caught.value.field == "sub_job_id"


def test_a_hundred_sub_jobs_may_be_asked_for_at_once():
    ids = [f"{number:032}" for number in range(100)]
    assert sub_job_ids([",".join(ids)]) == ids


@pytest.mark.parametrize("file", [build_log_file(RECORD, query(compress=True)), CheckFile(sub_job_ids=[A, B])])
def test_an_order_survives_its_way_to_the_worker(file: LogFile | CheckFile):
    order = FileOrder[AnyFile](project="p", gzip=True, file=file)
    assert FileOrder[AnyFile].model_validate_json(order.model_dump_json()) == order
