"""Cuts: archives that are whole, and chains of them that lose nothing."""

import io
import json
import zipfile
import zlib
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.backups.archive import Archive
from logkeep.backups.cuts import Cut
from logkeep.errors import Corrupt
from logkeep.logs.head import Totals
from tests.cuts import resting, take_cut
from tests.memory import MemoryLogs, content

pytestmark = pytest.mark.unit

NAMES = [f"cluster/c/{node}/{kind}" for node in ("node-1", "node-2") for kind in ("instance", "searchSlow")]
# None: the log is packed.
TEXTS = st.one_of(
    st.none(), st.binary(max_size=200), st.integers(1, 40).map(lambda n: b"2026-01-01 INFO the same line\n" * n)
)
# What is appended, log by log, before each of some backups.
ROUNDS = st.lists(st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=6), min_size=1, max_size=4)

type Rounds = list[list[tuple[str, bytes | None]]]


def write(logs: MemoryLogs, name: str, text: bytes | None) -> bytes:
    """Append text to a log, or pack it. Returns what it has grown by."""
    if text is None:
        head = logs.append(name)
        if head.end > head.mark.raw:
            logs.pack(name)
        return b""
    logs.append(name, text)
    return text


def opened(cut: Cut, logs: MemoryLogs) -> zipfile.ZipFile:
    """The archive of a cut, whose size and checksum are those that were known before."""
    archive = Archive(cut)
    extents = archive.make(logs)
    data = content(extents, logs)
    assert (len(data), zlib.crc32(data)) == (archive.layout.size, archive.layout.crc32)
    for index, each in enumerate(archive.slices):
        start, size = archive.content_of(index)
        assert (
            zlib.decompress(data[start : start + size], -zlib.MAX_WBITS)
            == _slice(logs, each.log_id)[each.begin.end : each.mark.end]
        )
    made = zipfile.ZipFile(io.BytesIO(data))
    assert made.testzip() is None
    return made


def _slice(logs: MemoryLogs, log_id: str) -> bytes:
    (head,) = [each for each in logs.heads("cluster/c") if str(each.log_id) == log_id]
    return b"".join(logs.texts(head))


@given(ROUNDS, st.integers(1, 3))
def test_a_chain_of_backups_holds_every_byte_once(rounds: Rounds, full_every: int) -> None:
    logs, expected, base = MemoryLogs(), defaultdict[str, bytes](bytes), None
    restored: dict[str, bytes] = defaultdict(bytes)
    for number, appended in enumerate(rounds):
        for name, text in appended:
            expected[name] += write(logs, name, text)
        if number % full_every == 0:
            base = None
            restored.clear()
        cut = take_cut(f"r{number}", "c", number, logs.heads("cluster/c"), base, rest_of=resting(logs))
        made = opened(cut, logs)
        manifest = json.loads(made.read("manifest.json"))
        assert manifest["continues"] == (base.record_id if base else None)
        assert {each["id"] for each in manifest["logs"]} == expected.keys()
        for each in manifest["logs"]:
            text = made.read(each["entry"]) if each["entry"] else b""
            assert len(restored[each["id"]]) == each["from"]
            restored[each["id"]] += text
            assert f"{zlib.crc32(restored[each['id']]):08x}" == each["crc32"]
        assert restored == expected
        base = Cut.model_validate_json(cut.model_dump_json())


@given(ROUNDS)
def test_an_archive_is_a_function_of_its_cut_however_the_logs_grow(
    rounds: Rounds,
) -> None:
    logs = MemoryLogs()
    for name, text in rounds[0]:
        write(logs, name, text)
    cut = take_cut("r", "c", 1, logs.heads("cluster/c"), None)
    first = content(Archive(cut).make(logs), logs)
    for later in rounds[1:]:
        for name, text in later:
            write(logs, name, text)
    assert content(Archive(Cut.model_validate_json(cut.model_dump_json())).make(logs), logs) == first


def test_names_of_a_chain_lie_in_order_in_one_folder() -> None:
    logs = MemoryLogs()
    logs.append(NAMES[0], b"one\n")
    full = take_cut("full", "c", 1, logs.heads("cluster/c"), None)
    logs.append(NAMES[0], b"two\n")
    more = take_cut("more", "c", 2, logs.heads("cluster/c"), full)
    names = [*Archive(full).names, *Archive(more).names]
    assert names == [
        "node-1/instance/0000000000000000-0000000000000004.log",
        "node-1/instance/0000000000000004-0000000000000008.log",
    ]
    assert opened(more, logs).read(names[1]) == b"two\n"


def test_what_follows_a_cut_within_a_packed_fragment_is_packed_anew_and_no_more() -> None:
    logs = MemoryLogs()
    logs.append(NAMES[0], b"one\n")
    full = take_cut("full", "c", 1, logs.heads("cluster/c"), None)
    logs.append(NAMES[0], b"two\n")
    logs.pack(NAMES[0])
    logs.append(NAMES[0], b"three\n")
    more = take_cut("more", "c", 2, logs.heads("cluster/c"), full, rest_of=resting(logs))
    (part,) = more.parts
    assert part.staged
    assert (part.begin.end, part.staged.raw, part.raw) == (4, 4, 10)
    assert opened(more, logs).read(Archive(more).names[0]) == b"two\nthree\n"


def test_a_log_with_another_text_up_to_the_base_is_taken_whole() -> None:
    logs, other = MemoryLogs(), MemoryLogs()
    logs.append(NAMES[0], b"one\n")
    full = take_cut("full", "c", 1, logs.heads("cluster/c"), None)
    for text in (b"ONE\n", b"two\n"):  # as after a table was restored from before the backup
        other.append(NAMES[0], text)
    other.pack(NAMES[0])
    cut = take_cut("more", "c", 2, other.heads("cluster/c"), full, rest_of=resting(other))
    assert cut.logs[0].begin.end == 0
    opened(cut, other)


def test_the_cut_of_a_log_whose_rows_are_others_is_refused() -> None:
    logs, other = MemoryLogs(), MemoryLogs()
    logs.append(NAMES[0], b"one\n", b"two\n")
    full = take_cut("full", "c", 1, logs.heads("cluster/c"), None)
    other.append(NAMES[0], b"one\ntwo\n")
    with pytest.raises(Corrupt, match="packed or written again"):
        content(Archive(full).make(other))


def test_an_empty_log_is_in_the_archive_and_one_without_news_in_the_manifest_alone() -> None:
    logs = MemoryLogs()
    logs.append(NAMES[0])
    logs.append(NAMES[1], b"old\n")
    full = take_cut("full", "c", 1, logs.heads("cluster/c"), None)
    assert len(Archive(full).names) == 2
    more = opened(take_cut("more", "c", 2, logs.heads("cluster/c"), full), logs)
    entries = {each["id"]: each["entry"] for each in json.loads(more.read("manifest.json"))["logs"]}
    assert entries[NAMES[1]] is None
    assert more.read(entries[NAMES[0]]) == b""


def test_the_manifest_says_which_log_was_sealed() -> None:
    logs = MemoryLogs()
    head = logs.append(NAMES[0], b"one\n").seal(Totals(bytes=4))
    made = opened(take_cut("r", "c", 1, [head], None), logs)
    (row,) = json.loads(made.read("manifest.json"))["logs"]
    assert (row["state"], row["lines"], row["bytes"]) == ("sealed", 1, 4)


def test_a_log_that_was_deleted_and_begun_anew_is_taken_whole() -> None:
    logs = MemoryLogs()
    logs.append(NAMES[0], b"one line\n")
    base = take_cut("r1", "c", 1, logs.heads("cluster/c"), None)
    logs.delete(NAMES[0])
    logs.append(NAMES[0], b"one line\n", b"and another\n")
    cut = take_cut("r2", "c", 2, logs.heads("cluster/c"), base)
    assert cut.logs[0].begin.end == 0
    opened(cut, logs)
    with pytest.raises(Corrupt):
        list(base.logs[0].extents(logs))
