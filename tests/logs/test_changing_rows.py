"""Readers whose rows are exchanged while they read: each text comes whole, once, and in order."""

import gzip
import io
import itertools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from logkeep.apis.css.search import SearchRequest, search
from logkeep.aws.dynamo import encode
from logkeep.aws.objects import Bucket
from logkeep.backups.cuts import Cut
from logkeep.clock import Clock
from logkeep.downloads.archive import MANIFEST
from logkeep.downloads.rendition import Rendition, log_file, zip_file
from logkeep.errors import Corrupt, LogChanged
from logkeep.logid import LogId
from logkeep.logs.fragment import combine_crc32, deflate
from logkeep.logs.head import Head
from logkeep.logs.items import row_item
from logkeep.logs.reader import Row
from logkeep.logs.store import LogStore
from logkeep.reading.follow import Follower
from logkeep.reading.pages import PageQuery, Strip
from tests.calls import PROJECT

pytestmark = pytest.mark.unit
LOG = LogId.parse("check/s/main.log")
LINES = [f"2026-01-01 10:00:{number:02d},000 [main] INFO  Builder - step {number}\n".encode() for number in range(12)]
TEXT = b"".join(LINES)
MERGES = [(0, 11), (0, 4), (3, 8), (5, 6), (7, 11)]  # the first and the last of the rows that become one


class Table:
    """The rows of one log, which are merged before the query of a certain number. A query answers two items."""

    def __init__(self, first: int, last: int, step: int) -> None:
        self.head = Head.born(LOG)
        self.queries = 0
        self._rows: list[Row] = []
        for line in LINES:
            self.head, packed = self.head.extended([line], 0)
            self._rows += [Row(each, data) for each, data in packed]
        self._merge = (first, last)
        self._step = step

    def query(self, **request: Any) -> dict[str, Any]:
        if self.queries == self._step:
            self.merge(*self._merge)
        self.queries += 1
        pk, low, high = (value["S"] for value in request["ExpressionAttributeValues"].values())
        items = [row_item(PROJECT, self.head, row.fragment) | {"data": row.extent} for row in self._rows]
        found = [encode(item) for item in items if item["pk"] == pk and low <= item["sk"] <= high]
        if not request.get("ScanIndexForward", True):
            found.reverse()
        if after := request.get("ExclusiveStartKey"):
            behind = [item["sk"]["S"] > after["sk"]["S"] for item in found]
            found = [item for item, is_after in zip(found, behind, strict=True) if is_after is not _is_back(request)]
        size = min(2, request.get("Limit", 2))
        answer: dict[str, Any] = {"Items": found[:size]}
        if len(found) > size:
            answer["LastEvaluatedKey"] = {"pk": found[size - 1]["pk"], "sk": found[size - 1]["sk"]}
        return answer

    def merge(self, first: int, last: int) -> None:
        merged = [row.fragment for row in self._rows[first : last + 1]]
        text = b"".join(LINES[first : last + 1])
        data = deflate(text)
        one = replace(
            merged[0],
            raw=len(text),
            packed=len(data),
            crc32=zlib.crc32(text),
            packed_crc32=zlib.crc32(data),
            lines=len(merged),
            levels=sum((each.levels for each in merged[1:]), merged[0].levels),
            last_time=merged[-1].last_time,
            greatest_time=merged[-1].greatest_time,
            newest_time=merged[-1].newest_time,
        )
        self._rows[first : last + 1] = [Row(one, data)]
        packed, crc32 = 0, 0
        for row in self._rows:
            each = row.fragment
            packed, crc32 = packed + each.packed, combine_crc32(crc32, each.packed_crc32, each.packed)
        self.head = replace(self.head, packed=packed, packed_crc32=crc32, generation=1)


def _is_back(request: dict[str, Any]) -> bool:
    return not request.get("ScanIndexForward", True)


type Reading = Callable[[LogStore, Table], object]


def at_every_step(first: int, last: int, reading: Reading) -> list[object]:
    """The results of a reader if the rows are merged before its first query, its second, and so on."""
    made = []
    for step in itertools.count():
        table = Table(first, last, step)
        made.append(reading(LogStore(table, Bucket(None, ""), "", PROJECT), table))  # type: ignore[arg-type]  # in memory
        if table.queries <= step:
            assert step > 1, "the reader queries rows"
            return made
    raise AssertionError


@pytest.mark.parametrize(("first", "last"), MERGES)
@pytest.mark.parametrize(("start", "end"), [(0, len(TEXT)), (100, len(TEXT)), (7, 500)])
def test_a_text_is_trimmed_row_by_row(first, last, start, end) -> None:
    made = at_every_step(first, last, lambda store, table: b"".join(store.texts(table.head, start, end)))
    assert set(made) == {TEXT[start:end]}


@pytest.mark.parametrize(("first", "last"), MERGES)
def test_a_follower_yields_each_byte_once(first, last) -> None:
    def follow(store: LogStore, table: Table) -> bytes:
        follower = Follower(store, table.head, 1, Clock(lambda: 0, lambda _: None))
        return b"".join(itertools.takewhile(bool, follower.texts()))

    assert set(at_every_step(first, last, follow)) == {TEXT}


@pytest.mark.parametrize(("first", "last"), MERGES)
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (PageQuery(), LINES),
        (PageQuery(start_offset=len(LINES[0]), size=5), LINES[1:6]),
        (PageQuery(sort="DESC", size=7), LINES[-7:]),
    ],
)
def test_a_page_shows_each_line_once(first, last, query, shown) -> None:
    made = at_every_step(first, last, lambda store, table: query.page(store, Strip.of([(0, replace(table.head))])).text)
    assert set(made) == {b"".join(shown)}


@pytest.mark.parametrize(("first", "last"), MERGES)
def test_a_search_finds_each_record_once(first, last) -> None:
    request = SearchRequest.model_validate({"instance_name": "i", "log_type": "instance", "keyword": "step"})

    def found(store: LogStore, table: Table) -> tuple[str, ...]:
        return tuple(each.content for each in search(store, table.head, request, lambda: False).logList)

    assert set(at_every_step(first, last, found)) == {tuple(line.decode().rstrip() for line in reversed(LINES))}


def _made(store: LogStore, rendition: Callable[[], Rendition]) -> bytes:
    """A file, made anew if its logs change meanwhile, as a request does."""
    while True:
        try:
            return b"".join(store._bucket.read(rendition().make()))
        except LogChanged:
            continue


@pytest.mark.parametrize(("first", "last"), MERGES)
@pytest.mark.parametrize("without_debug", [False, True])
def test_a_gz_is_spliced_anew(first, last, without_debug) -> None:
    def taken(store: LogStore, table: Table) -> bytes:
        options: dict[str, Any] = {"gzip": True, "as_file": True, "without_debug": without_debug}
        made = _made(store, lambda: log_file(store, [table.head], "a.log", "text/plain", **options))
        return gzip.decompress(made)

    assert set(at_every_step(first, last, taken)) == {TEXT}


@pytest.mark.parametrize(("first", "last"), MERGES)
def test_a_zip_is_spliced_anew(first, last) -> None:
    def taken(store: LogStore, table: Table) -> bytes:
        made = _made(store, lambda: zip_file(store, [table.head], ["main.log"], "a.zip"))
        with zipfile.ZipFile(io.BytesIO(made)) as opened:
            assert opened.testzip() is None
            assert opened.namelist() == [MANIFEST, "main.log"]
            return opened.read("main.log")

    assert set(at_every_step(first, last, taken)) == {TEXT}


@pytest.mark.parametrize(("first", "last"), MERGES)
def test_a_slice_of_a_backup_has_the_rows_of_its_cut_or_fails(first, last) -> None:
    def taken(store: LogStore, table: Table) -> bytes | None:
        cut = Cut.take("r", "c", 0, [table.head], None)
        try:
            return b"".join(store.texts_of(cut.logs[0].rows(store)))
        except (Corrupt, LogChanged):
            return None

    assert set(at_every_step(first, last, taken)) == {TEXT, None}
