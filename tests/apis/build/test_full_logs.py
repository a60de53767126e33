"""The log of a whole build: its stages in order, spliced into one text."""

import gzip
import itertools
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logkeep.apis.build import stages as builds
from logkeep.apis.build.files import BuildFile, FullLogQuery, full_log_file
from logkeep.apis.build.pages import strip_of
from logkeep.apis.build.stages import stages
from logkeep.apis.worker import AnyFile
from logkeep.downloads.orders import FileOrder
from logkeep.downloads.rendition import log_file
from logkeep.errors import Invalid, LogNotFound, TooLarge
from logkeep.extents import Facts, size_of
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs import fragment
from logkeep.logs.fragment import GZIP_HEADER
from logkeep.logs.head import Totals
from logkeep.reading.pages import PLACE, PLACES
from tests.memory import MemoryLogs, content, made
from tests.samples import any_bytes, cuts_of, without_debug

pytestmark = pytest.mark.unit

RECORD = "0123456789abcdefghijklmnopqrstuvwxyz"
FORMS = [(False, False), (True, False), (True, True)]  # gzip, as_file
DEBUG, INFO = b"DEBUG: a detail\n\tof two lines\n", b"INFO: what happened\n"


@pytest.fixture(autouse=True, params=[FRAGMENT_MAX, 64], ids=["FRAGMENT_MAX as it is", "FRAGMENT_MAX of 64 bytes"])
def _raw_max(request: pytest.FixtureRequest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment, "FRAGMENT_MAX", request.param)
        yield


def logs_of(bodies: list[list[bytes]]) -> MemoryLogs:
    logs = MemoryLogs()
    for number, pieces in enumerate(bodies, 1):
        logs.append(f"build/{RECORD}/stage{number}", *pieces)
    return logs


def on_lines_of_their_own(texts: list[bytes]) -> bytes:
    texts = [text for text in texts if text]
    return b"".join(text if text.endswith(b"\n") else text + b"\n" for text in texts[:-1]) + b"".join(texts[-1:])


@given(st.lists(cuts_of(any_bytes), min_size=1, max_size=4))
@example([[INFO + b"INFO: open"], [], [DEBUG], [INFO]])
@example([[DEBUG, b"DEBUG: open"], [b"\tcontinued in no record of this log\n"]])
@example([[INFO], [b"INFO: x"], [DEBUG], [b"DEBUG: y"]])
def test_the_stages_stand_on_lines_of_their_own_with_and_without_their_debug_records(bodies: list[list[bytes]]):
    logs = logs_of(bodies)
    for (gzip_taken, as_file), drop in itertools.product(FORMS, (False, True)):
        file = log_file(
            logs,
            list(logs.heads(f"build/{RECORD}")),
            "a",
            "b",
            gzip=gzip_taken,
            as_file=as_file,
            without_debug=drop,
        )
        texts = [b"".join(pieces) for pieces in bodies]
        expected = on_lines_of_their_own([without_debug(text) if drop else text for text in texts])
        extents, facts = made(file)
        data = content(extents)
        assert (gzip.decompress(data) if gzip_taken else data) == expected
        received = data if as_file else expected
        assert facts == Facts(len(data), len(received), zlib.crc32(received))
        assert file.expected in (None, facts)


def test_the_fragments_of_all_stages_are_spliced_as_they_are():
    logs = logs_of([[INFO, b"INFO: open"], [INFO]])
    heads = list(logs.heads(f"build/{RECORD}"))
    extents, _ = made(log_file(logs, heads, "a", "b", gzip=True, without_debug=True))
    first, second, third = [row.extent for head in heads for row in logs.rows(head)]
    assert extents[0] == GZIP_HEADER
    assert [extents[1] is first, extents[2] is second, extents[4] is third] == [True] * 3
    assert size_of(extents[3]) < 12, "the newline between"
    assert len(extents) == 6


def test_other_stages_or_another_order_are_another_file():
    logs = logs_of([[INFO], [INFO]])
    heads = list(logs.heads(f"build/{RECORD}"))
    asked = [log_file(logs, some, "a", "b", gzip=True) for some in (heads, heads[::-1], heads[:1], heads[1:], [])]
    assert len({file.identity for file in asked}) == len(asked)


def test_stages_come_by_number_and_other_names_behind_them():
    logs = MemoryLogs()
    names = ["stage10", "stage2", "deploy", "stage1", "Stage3", "stage0", "stage999999999"]
    for name in names:
        logs.append(f"build/{RECORD}/{name}", name.encode())
    found = stages(logs.heads(f"build/{RECORD}"))
    ordered = ["stage1", "stage2", "stage10", "stage999999999", "Stage3", "deploy", "stage0"]
    assert [head.log_id.rest for head in found] == ordered
    file = BuildFile(record_id=RECORD, filename="a", content_type="b").rendition(logs, gzip=False)
    assert content(made(file)[0]).decode().splitlines() == ordered
    positions = [log.start for log in strip_of(found).logs]
    assert positions[:3] == [0, PLACE, 9 * PLACE]
    assert positions == sorted(set(positions))
    assert positions[-1] < PLACE * PLACES


def test_no_stage_is_not_found_and_an_empty_one_is_an_empty_file():
    logs = MemoryLogs()
    with pytest.raises(LogNotFound):
        full_log_file(RECORD, FullLogQuery()).rendition(logs, gzip=True)
    logs.append(f"build/{RECORD}/stage1").seal(Totals())
    assert made(full_log_file(RECORD, FullLogQuery()).rendition(logs, gzip=False)) == ([], Facts(0, 0, 0))


def test_more_stages_than_one_text_holds_are_too_large(monkeypatch: pytest.MonkeyPatch):
    logs = logs_of([[INFO]] * 3)
    monkeypatch.setattr(builds, "STAGES_MAX", 3)
    assert len(stages(logs.heads(f"build/{RECORD}"))) == 3
    monkeypatch.setattr(builds, "STAGES_MAX", 2)
    with pytest.raises(TooLarge):
        stages(logs.heads(f"build/{RECORD}"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("log", "application/octet-stream", False, True)),
        ({"log_level": "DEBUG"}, ("log", "application/octet-stream", False, False)),
        ({"compress": "true"}, ("log.gz", "application/gzip", True, True)),
    ],
)
def test_a_full_log_is_named_after_its_record(values: dict[str, Any], expected: tuple[str, str, bool, bool]):
    ending, content_type, as_file, drop = expected
    assert full_log_file(RECORD, FullLogQuery.model_validate(values)) == BuildFile(
        record_id=RECORD,
        filename=f"{RECORD}.{ending}",
        content_type=content_type,
        as_file=as_file,
        without_debug=drop,
    )


def test_a_bad_record_id_is_named():
    with pytest.raises(Invalid) as caught:
        full_log_file("../x", FullLogQuery())
    assert caught.value.field == "record_id"


def test_an_order_of_a_whole_build_survives_its_way_to_the_worker():
    order = FileOrder[AnyFile](project="p", gzip=True, file=full_log_file(RECORD, FullLogQuery()))
    assert FileOrder[AnyFile].model_validate_json(order.model_dump_json()) == order
