"""What is restored, and from where: compared with a naive model that keeps every text."""

import zlib
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.backups.archive import Archive
from logkeep.backups.cuts import Cut
from logkeep.errors import Corrupt, Invalid
from logkeep.logs.head import Head, State, Totals
from logkeep.restores.plan import Outcome, RestoreReport, RestoreRequest, Target, plan, targets
from tests.backups.test_cuts import NAMES, ROUNDS, write
from tests.cuts import resting, take_cut
from tests.memory import MemoryLogs, content

pytestmark = pytest.mark.unit


def text_of(target: Target, archives: list[bytes]) -> bytes:
    """What its pieces hold, by zlib."""
    text = b""
    for piece in target.pieces:
        assert len(text) == piece.begin
        assert zlib.crc32(text) == piece.crc32
        packed = archives[piece.archive][piece.start : piece.start + piece.size]
        assert zlib.crc32(packed) == piece.packed_crc32
        text += zlib.decompress(packed, -zlib.MAX_WBITS)
        assert len(text) == piece.end
    return text


@given(ROUNDS, st.integers(1, 4))
def test_every_backup_of_a_chain_is_put_together_byte_for_byte(rounds, full_every) -> None:
    logs, texts = MemoryLogs(), defaultdict[str, bytes](bytes)
    cuts: list[Cut] = []
    archives: list[bytes] = []
    for number, appended in enumerate(rounds):
        for name, text in appended:
            texts[name] += write(logs, name, text)
        base = cuts[-1] if cuts and number % full_every else None
        cut = take_cut(f"r{number}", "c", number, logs.heads("cluster/c"), base, rest_of=resting(logs))
        cuts.append(Cut.model_validate_json(cut.model_dump_json()))
        archives.append(content(Archive(cut).make(logs), logs))
        begin = number - number % full_every
        found = targets(reversed(cuts[begin:]), "copy-")
        newest_first = archives[begin:][::-1]
        assert {str(each.log_id).replace("copy-", ""): text_of(each, newest_first) for each in found} == texts


def test_a_chain_that_lacks_bytes_is_refused() -> None:
    logs = MemoryLogs()
    logs.append(NAMES[0], b"one\n")
    full = take_cut("full", "c", 1, logs.heads("cluster/c"), None)
    logs.append(NAMES[0], b"two\n")
    more = take_cut("more", "c", 2, logs.heads("cluster/c"), full)
    with pytest.raises(Corrupt, match="no backup holds the first 4 bytes of cluster/c/node-1/instance"):
        targets([more], "")
    other = MemoryLogs()
    other.append(NAMES[0], b"ONE\n")
    with pytest.raises(Corrupt, match="first 4 bytes"):
        targets([more, take_cut("full", "c", 1, other.heads("cluster/c"), None)], "")


def head_of(text: bytes, **changes) -> Head:
    return replace(MemoryLogs().append(NAMES[0], text), **changes)


def target_of(*texts: bytes) -> Target:
    """A log that each of some backups holds a text of."""
    logs = MemoryLogs()
    cuts: list[Cut] = []
    for number, text in enumerate(texts):
        logs.append(NAMES[0], text)
        cuts.append(take_cut(str(number), "c", number, logs.heads("cluster/c"), cuts[-1] if cuts else None))
    (target,) = targets(reversed(cuts), "")
    return target


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (None, (Outcome.NEW, True)),
        (head_of(b""), (Outcome.GROW, True)),
        (head_of(b"one\n"), (Outcome.GROW, True)),
        (head_of(b"ONE\n"), (Outcome.DIFFERS, True)),
        (head_of(b"on"), (Outcome.GROW, False)),
        (head_of(b"one\ntwo\n"), (Outcome.HELD, True)),
        (head_of(b"one\nTWO\n"), (Outcome.DIFFERS, True)),
        (head_of(b"one\ntwo\nthree\n"), (Outcome.HELD, False)),
        (head_of(b"one\n", state=State.SEALED), (Outcome.DIFFERS, True)),
        (head_of(b"on", state=State.TRUNCATED, expected=Totals(bytes=7)), (Outcome.DIFFERS, True)),
        (head_of(b"on", state=State.TRUNCATED, expected=Totals(bytes=8)), (Outcome.GROW, False)),
        (head_of(b"on", state=State.TRUNCATED, expected=Totals(lines=8)), (Outcome.GROW, False)),
    ],
)
def test_what_a_log_holds_decides_what_is_done(head, expected) -> None:
    assert plan(target_of(b"one\n", b"two\n"), head) == expected


def test_a_seal_is_restored_with_what_its_producer_told() -> None:
    logs = MemoryLogs()
    sealed = logs.append(NAMES[0], b"one\n").seal(Totals(lines=1))
    truncated = logs.append(NAMES[1], b"half").seal(Totals(bytes=10, crc32="0000abcd"))  # type: ignore[arg-type]  # hex in JSON
    cut = take_cut("r", "c", 1, [sealed, truncated, logs.append(NAMES[2], b"open")], None)
    told = [each.totals() for each in targets([Cut.model_validate_json(cut.model_dump_json())], "")]
    assert told[0] == Totals.of_stored({"bytes": 4, "lines": 1, "crc32": sealed.crc32})
    assert told[1] == Totals.of_stored({"bytes": 10, "crc32": 0xABCD})
    assert told[2] is None


def test_a_cut_of_before_totals_were_kept_can_be_read() -> None:
    logs = MemoryLogs()
    truncated = logs.append(NAMES[0], b"half").seal(Totals(bytes=10))
    stored = take_cut("r", "c", 1, [truncated], None).model_dump()
    del stored["logs"][0]["expected"]
    (target,) = targets([Cut.model_validate(stored)], "")
    assert (target.state, target.totals()) == (State.TRUNCATED, None)


def test_a_prefix_must_leave_the_cluster_an_id() -> None:
    RestoreRequest(prefix="x" * 64).check("c" * 64)
    with pytest.raises(Invalid, match="prefix"):
        RestoreRequest(prefix="x" * 64).check("c" * 65)


def test_a_report_names_a_bounded_number_of_logs() -> None:
    report, log_id = RestoreReport.begin("run", RestoreRequest(), 1), target_of(b"x").log_id
    for _ in range(1000):
        report = report.with_log(log_id, Outcome.DIFFERS).with_log(log_id, Outcome.FAILED, why="x" * 600)
    assert report.counts == {Outcome.DIFFERS: 1000, Outcome.FAILED: 1000}
    assert (len(report.differs), len(report.failures)) == (50, 50)
    assert len(report.model_dump_json()) < 100_000
