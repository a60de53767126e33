"""Readers of a log that is packed while they read: each text comes whole, once, and in order."""

import gzip
import io
import itertools
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import pytest

from logkeep.apis.css.search import SearchRequest, search
from logkeep.aws.dynamo import decode, encode
from logkeep.clock import Clock
from logkeep.downloads.archive import MANIFEST
from logkeep.downloads.rendition import Rendition, log_file, zip_file
from logkeep.errors import Corrupt, LogChanged
from logkeep.extents import Extent, ObjectRange, merged
from logkeep.logid import LogId
from logkeep.logs.fragment import END, inflate
from logkeep.logs.head import Head
from logkeep.logs.items import TABLE, head_item, objects_prefix, row_item, row_of, sort_key
from logkeep.logs.packs import Pack, new_pack, pack_item, table_of
from logkeep.logs.reader import Row
from logkeep.logs.store import LogStore
from logkeep.reading.follow import Follower
from logkeep.reading.pages import PageQuery, Strip
from tests.calls import PROJECT
from tests.cuts import take_cut

pytestmark = pytest.mark.unit
LOG = LogId.parse("check/s/main.log")
LINES = [f"2026-01-01 10:00:{number:02d},000 [main] INFO  Builder - step {number}\n".encode() for number in range(12)]
TEXT = b"".join(LINES)
# How many lines are in packs at first, and whether what a pack replaces goes at once, and not after a day.
CHANGES = [(0, False), (0, True), (5, False), (5, True)]


class Table:
    """The items of one log, which is packed before the query of a certain number. A query answers two items."""

    def __init__(self, packed: int, *, cleans: bool) -> None:
        self.head = Head.born(LOG)
        self.queries = 0
        self.objects: dict[str, bytes] = {}
        self._items: dict[str, dict[str, Any]] = {}
        self._step = -1
        self._cleans = cleans
        self._append(LINES[:packed])
        if packed:
            self._pack()
        self._append(LINES[packed:])

    def packed_before(self, step: int) -> "Table":
        """A copy that is packed before its query of that number."""
        made = copy(self)
        made.objects, made._items, made._step = self.objects.copy(), self._items.copy(), step
        return made

    def query(self, **request: Any) -> dict[str, Any]:
        if request["KeyConditionExpression"].endswith("sk = :sk"):
            return {"Items": [encode(head_item(PROJECT, self.head))]}
        if self.queries == self._step:
            self._pack()
        self.queries += 1
        pk, low, high = (value["S"] for value in request["ExpressionAttributeValues"].values())
        found = [encode(item) for sk, item in sorted(self._items.items()) if item["pk"] == pk and low <= sk <= high]
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

    def read(self, extents: Iterable[Extent]) -> Iterator[bytes]:
        for each in merged(extents, 1 << 20):
            if isinstance(each, ObjectRange):
                yield self.objects[each.key][each.start : each.start + each.size]
            else:
                yield each

    def _append(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.head, ((each, data),) = self.head.extended([line], 0)
            self._put(row_item(PROJECT, self.head, each) | {"data": data})

    def _put(self, item: dict[str, Any]) -> None:
        self._items[item["sk"]] = decode(encode(item))

    def _pack(self) -> None:
        items = [item for sk, item in sorted(self._items.items()) if sk >= sort_key(self.head.mark.raw)]
        rows = [row_of(item) for item in items if item["sk"].startswith("frag/")]
        new = new_pack(rows, self.read, lambda rows: [text_of(row) for row in rows], lambda: False)
        assert new
        key = f"{objects_prefix(PROJECT, self.head)}{self.head.mark.raw}.pack.gz"
        pack = Pack(key, 3, self.head.mark, new.sums)
        self.objects[key] = b"..." + b"".join(new.data)
        self._put(pack_item(PROJECT, self.head, pack))
        self._put(pack_item(PROJECT, self.head, pack, TABLE) | {"table": table_of(new.fragments)})
        self.head = self.head.with_pack(new.sums, new.replaced)
        if self._cleans:
            for row in rows:
                del self._items[sort_key(row.fragment.offset)]


def text_of(row: Row) -> bytes:
    assert isinstance(row.extent, bytes)
    return inflate(row.extent, row.fragment)


def _is_back(request: dict[str, Any]) -> bool:
    return not request.get("ScanIndexForward", True)


type Reading = Callable[[LogStore, Table], object]


def at_every_step(packed: int, cleans: bool, reading: Reading) -> list[object]:
    """The results of a reader if the log is packed before its first query, its second, and so on."""
    made, begun = [], Table(packed, cleans=cleans)
    for step in itertools.count():
        table = begun.packed_before(step)
        made.append(reading(LogStore(table, table, "", PROJECT), table))  # type: ignore[arg-type]  # in memory
        if table.queries <= step:
            assert step > 1, "the reader queries rows"
            return made
    raise AssertionError


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
@pytest.mark.parametrize(("start", "end"), [(0, len(TEXT)), (100, len(TEXT)), (7, 500)])
def test_a_text_is_trimmed_row_by_row(packed, cleans, start, end) -> None:
    made = at_every_step(packed, cleans, lambda store, table: b"".join(store.texts(table.head, start, end)))
    assert set(made) == {TEXT[start:end]}


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
def test_a_follower_yields_each_byte_once(packed, cleans) -> None:
    def follow(store: LogStore, table: Table) -> bytes:
        follower = Follower(store, table.head, 1, Clock(lambda: 0, lambda _: None))
        return b"".join(itertools.takewhile(bool, follower.texts()))

    assert set(at_every_step(packed, cleans, follow)) == {TEXT}


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (PageQuery(), LINES),
        (PageQuery(start_offset=len(LINES[0]), size=5), LINES[1:6]),
        (PageQuery(sort="DESC", size=7), LINES[-7:]),
    ],
)
def test_a_page_shows_each_line_once(packed, cleans, query, shown) -> None:
    made = at_every_step(
        packed, cleans, lambda store, table: query.page(store, Strip.of([(0, replace(table.head))])).text
    )
    assert set(made) == {b"".join(shown)}


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
def test_a_search_finds_each_record_once(packed, cleans) -> None:
    request = SearchRequest.model_validate({"instance_name": "i", "log_type": "instance", "keyword": "step"})

    def found(store: LogStore, table: Table) -> tuple[str, ...]:
        return tuple(each.content for each in search(store, table.head, request, lambda: False).logList)

    assert set(at_every_step(packed, cleans, found)) == {tuple(line.decode().rstrip() for line in reversed(LINES))}


def _made(store: LogStore, rendition: Callable[[], Rendition]) -> bytes:
    """A file, made anew if its logs change meanwhile, as a request does."""
    while True:
        try:
            return b"".join(store.bucket.read(rendition().make()))
        except LogChanged:
            continue


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
@pytest.mark.parametrize("without_debug", [False, True])
def test_a_gz_is_spliced_anew(packed, cleans, without_debug) -> None:
    def taken(store: LogStore, table: Table) -> bytes:
        options: dict[str, Any] = {"gzip": True, "as_file": True, "without_debug": without_debug}
        made = _made(store, lambda: log_file(store, [table.head], "a.log", "text/plain", **options))
        return gzip.decompress(made)

    assert set(at_every_step(packed, cleans, taken)) == {TEXT}


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
def test_a_zip_is_spliced_anew(packed, cleans) -> None:
    def taken(store: LogStore, table: Table) -> bytes:
        made = _made(store, lambda: zip_file(store, [table.head], ["main.log"], "a.zip"))
        with zipfile.ZipFile(io.BytesIO(made)) as opened:
            assert opened.testzip() is None
            assert opened.namelist() == [MANIFEST, "main.log"]
            return opened.read("main.log")

    assert set(at_every_step(packed, cleans, taken)) == {TEXT}


@pytest.mark.parametrize(("packed", "cleans"), CHANGES)
def test_a_slice_of_a_backup_has_the_bytes_of_its_cut_until_they_are_gone(packed, cleans) -> None:
    def taken(store: LogStore, table: Table) -> bytes:
        cut = take_cut("r", "c", 0, [table.head], None)
        try:
            return zlib.decompress(b"".join(store.bucket.read(cut.logs[0].extents(store))) + END, -zlib.MAX_WBITS)
        except Corrupt as error:
            return str(error).encode()

    why = b"check/s/main.log was packed or written again since its cut was taken; back up again"
    assert set(at_every_step(packed, cleans, taken)) == ({TEXT, why} if cleans else {TEXT})
