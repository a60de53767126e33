"""Packs: one object that holds many fragments of a log, and the table of them (docs/formats.md#packs).

A pack takes the place of the fragments of many appends. Small ones are joined and compressed again, large ones copied.
"""

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from isal import isal_zlib

from logkeep.errors import Corrupt
from logkeep.extents import Extent, ObjectRange
from logkeep.limits import FRAGMENT_MAX
from logkeep.logid import LogId
from logkeep.logs.fragment import Fragment, deflate, gzip_trailer, joined
from logkeep.logs.head import Head, State
from logkeep.logs.items import PACK, fragment_fields, fragment_of, head_item, objects_prefix, rows_key, sort_key
from logkeep.logs.levels import ScanState
from logkeep.logs.reader import Row
from logkeep.logs.registration import Registration
from logkeep.logs.sums import Sums

RAW_MAX: Final = 64 << 20  # bytes of text of a pack
PACKED_MAX: Final = 24 << 20
FRAGMENTS_MAX: Final = 128
ROWS_MAX: Final = 20_000  # that one pack replaces
# A log is packed when so much has come since its last pack, and again when as much has come once more, because an order
# may be lost.
DUE_RAW: Final = 16 << 20
DUE_FRAGMENTS: Final = 1500  # a day of appends every 30 seconds becomes two packs
DUE_SEALED: Final = 8  # fragments of a log that is sealed, or silent for a day
# The table must fit into the header of a gzip file, 65,535 bytes, beside what that says of the log. A fragment takes at
# most so much of it, besides the line that is open where it begins.
_ENTRY_MAX: Final = 192
_TABLE_MAX: Final = 56 << 10
# RFC 1952: deflate, with extra fields, no time, unknown extra flags, unknown system
_HEADER: Final = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
# Attributes of the head that a pack repeats.
_ABOUT: Final = (
    *("log_id", "birth", "began", "arrived", "written_at", "retention", "hold"),
    *("time_zone", "labels", "registration", "state", "expected", "end"),
)
_TABLE_ID: Final = b"Lt"
_LOG_ID: Final = b"Ll"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack in the bucket: its object, the byte of it at which the packed text begins, and its sums."""

    key: str
    start: int
    before: Sums  # of all that lies before it in the log
    sums: Sums

    @property
    def offset(self) -> int:
        return self.before.raw

    @property
    def end(self) -> int:
        return self.before.raw + self.sums.raw

    @property
    def extent(self) -> ObjectRange:
        return ObjectRange(self.key, self.start, self.sums.packed)

    def rows(self, fragments: Iterable[Fragment]) -> Iterator[Row]:
        """The rows of its fragments."""
        start = self.start
        for each in fragments:
            yield Row(each, ObjectRange(self.key, start, each.packed))
            start += each.packed


class NewPack(NamedTuple):
    """The content of a pack: its fragments with their packed bytes, and the sums of the rows that it replaces."""

    fragments: list[Fragment]
    data: list[bytes]
    replaced: Sums

    @property
    def sums(self) -> Sums:
        return Sums.total(map(Sums.of, self.fragments))


def is_due(before: Head | None, after: Head) -> bool:
    """Whether a log must be packed after a write."""
    old, new = before.unpacked if before else Sums(), after.unpacked
    if after.state is State.SEALED:
        return new.fragments >= DUE_SEALED
    return old.raw // DUE_RAW < new.raw // DUE_RAW or old.fragments // DUE_FRAGMENTS < new.fragments // DUE_FRAGMENTS


# Making


def new_pack(
    rows: Iterable[Row],
    read: Callable[[Iterable[Extent]], Iterable[bytes]],
    texts_of: Callable[[Iterable[Row]], Iterable[bytes]],
    is_late: Callable[[], bool],
) -> NewPack | None:
    """The pack of the first rows, as many as it can hold or as time allows; None without rows.

    All rows of an object are in one pack, so that no two need it. Raises Corrupt if stored bytes do not match their
    checksums.
    """
    making = _Making(read, texts_of)
    for _, append in groupby(rows, _object_of):
        following = [*append]
        if making.has_any and (is_late() or not making.has_room(following)):
            break
        for row in following:
            making.add(row)
    return making.made() if making.has_any else None


class _Making:
    """A pack as it is made, from the rows in order."""

    def __init__(
        self,
        read: Callable[[Iterable[Extent]], Iterable[bytes]],
        texts_of: Callable[[Iterable[Row]], Iterable[bytes]],
    ) -> None:
        self._read = read
        self._texts_of = texts_of
        self._made = NewPack([], [], Sums())
        self._replaced = Sums()
        self._group: list[Row] = []  # rows that become the next fragment
        self._group_raw = 0
        self._table = 0  # bytes at most

    @property
    def has_any(self) -> bool:
        return self._replaced.fragments > 0

    def has_room(self, rows: Sequence[Row]) -> bool:
        return (
            self._replaced.raw + sum(row.fragment.raw for row in rows) <= RAW_MAX
            and self._replaced.packed + sum(row.fragment.packed for row in rows) <= PACKED_MAX
            and self._replaced.fragments + len(rows) <= ROWS_MAX
            and len(self._made.fragments) + 1 + len(rows) <= FRAGMENTS_MAX
            and self._table + sum(map(_entry_size, rows)) <= _TABLE_MAX
        )

    def add(self, row: Row) -> None:
        if self._group and self._group_raw + row.fragment.raw > FRAGMENT_MAX:
            self._close()
        if not self._group:
            self._table += _entry_size(row)
        self._group.append(row)
        self._group_raw += row.fragment.raw
        self._replaced += Sums.of(row.fragment)

    def made(self) -> NewPack:
        self._close()
        return self._made._replace(replaced=self._replaced)

    def _close(self) -> None:
        each = self._group[0].fragment
        if len(self._group) == 1:
            data = b"".join(self._read([self._group[0].extent]))
            if (len(data), isal_zlib.crc32(data)) != (each.packed, each.packed_crc32):
                raise Corrupt(f"fragment at {each.offset}: the packed bytes do not match their checksum")
        else:
            data = deflate(b"".join(self._texts_of(self._group)))
            each = joined([row.fragment for row in self._group], data)
        self._made.fragments.append(each)
        self._made.data.append(data)
        self._group, self._group_raw = [], 0


def _entry_size(row: Row) -> int:
    return _ENTRY_MAX + len(row.fragment.before.open_line)


def _object_of(row: Row) -> str | int:
    """The same for all rows of an object. An append whose rows hold its bytes may be divided."""
    return row.extent.key if isinstance(row.extent, ObjectRange) else row.fragment.offset


# Storing


def pack_item(project: str, head: Head, pack: Pack, kind: str = PACK) -> dict[str, Any]:
    """The item of a pack, which is small because a log may have many."""
    return {
        "pk": rows_key(project, head),
        "sk": sort_key(pack.offset, kind),
        "offset": pack.offset,
        **pack.sums._asdict(),
        "before": list(pack.before[1:]),
        "name": pack.key.removeprefix(objects_prefix(project, head)),
        "start": pack.start,
    }


def pack_of(project: str, head: Head, item: Mapping[str, Any]) -> Pack:
    return Pack(
        key=objects_prefix(project, head) + item["name"],
        start=item["start"],
        before=Sums(item["offset"], *item["before"]),
        sums=Sums.of_stored(item),
    )


def table_of(fragments: Iterable[Fragment]) -> bytes:
    """The table of fragments: JSON, a newline, and the open lines that its `open_line` counts; deflated."""
    lines = []
    entries = []
    for each in fragments:
        entry = {name: value for name, value in fragment_fields(each).items() if value is not None}
        if line := entry.pop("open_line", b""):
            entry["open_line"] = len(line)
            lines.append(line)
        entries.append(entry)
    return zlib.compress(b"".join((json.dumps(entries, separators=(",", ":")).encode(), b"\n", *lines)), 9)


def fragments_of(table: bytes, before: Sums) -> list[Fragment]:
    """The fragments of a table, after text with these sums. Raises Corrupt if it is not what table_of() makes."""
    try:
        text, _, lines = zlib.decompress(table).partition(b"\n")
        found = []
        offset, line = before.raw, before.lines
        for entry in json.loads(text):
            size = entry.get("open_line", 0)
            entry["open_line"], lines = lines[:size], lines[size:]
            each = fragment_of(entry, offset, line)
            found.append(each)
            offset, line = each.end, line + each.lines
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise Corrupt(f"the table of the pack at {before.raw} is damaged: {error}") from error
    return found


def about(project: str, head: Head, new: NewPack, after: ScanState) -> dict[str, Any]:
    """What a pack says of its log, so that rows and head can be made from the bucket alone.

    `head` is that before the pack, `after` the scan state where the pack ends.
    """
    log = head_item(project, head)
    kept = {name: log[name] for name in _ABOUT if log.get(name) is not None}
    return {
        "project": project,
        **kept,
        "offset": head.mark.raw,
        "before": list(head.mark[1:]),
        **new.sums._asdict(),
        "after": {
            "level": after.level,
            "open_line": base64.b64encode(after.open_line).decode(),
            "partial": after.partial,
        },
    }


def header_of(table: bytes, about: Mapping[str, Any]) -> bytes:
    """The gzip header of a pack: the table, and what is known of the log, in extra fields (RFC 1952 2.3.1.1)."""
    log = zlib.compress(json.dumps(about, separators=(",", ":")).encode(), 9)
    fields = ((_LOG_ID, log), (_TABLE_ID, table))
    extra = b"".join(name + struct.pack("<H", len(data)) + data for name, data in fields)
    return _HEADER + struct.pack("<H", len(extra)) + extra


def head_before(about: Mapping[str, Any]) -> Head:
    """The head of a new log, as a pack describes it in about()."""
    registration = about.get("registration")
    return Head(
        log_id=LogId.parse(about["log_id"]),
        birth=about["birth"],
        began=about["began"],
        arrived=about.get("arrived"),
        written_at=about.get("written_at"),
        retention=about.get("retention"),
        hold=about.get("hold", False),
        time_zone=about.get("time_zone"),
        labels=about.get("labels", {}),
        registration=Registration(*registration) if registration else None,
    )


def state_after(about: Mapping[str, Any]) -> ScanState:
    """The scan state where the pack of about() ends."""
    after = about["after"]
    return ScanState(after["level"], base64.b64decode(after["open_line"]), after["partial"])


HEADER_MAX: Final = len(_HEADER) + 2 + 0xFFFF


def read_header(first: bytes) -> tuple[int, dict[str, Any], bytes] | None:
    """The size of a pack's header in bytes, what it says of the log, and the table; None if it is no pack's.

    `first`: the first HEADER_MAX bytes of an object, or all if it has fewer.
    """
    if not first.startswith(_HEADER) or len(first) < len(_HEADER) + 2:
        return None
    (size,) = struct.unpack_from("<H", first, len(_HEADER))
    at, end = len(_HEADER) + 2, len(_HEADER) + 2 + size
    fields = {}
    while at + 4 <= min(end, len(first)):
        name, (length,) = first[at : at + 2], struct.unpack_from("<H", first, at + 2)
        fields[name] = first[at + 4 : at + 4 + length]
        at += 4 + length
    if at != end or fields.keys() != {_LOG_ID, _TABLE_ID} or len(first) < end:
        return None
    try:
        about = json.loads(zlib.decompress(fields[_LOG_ID]))
    except (ValueError, zlib.error):
        return None
    return end, about, fields[_TABLE_ID]


def trailer_of(sums: Sums) -> bytes:
    return gzip_trailer(sums.crc32, sums.raw)
