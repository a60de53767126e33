import gzip
import io
import itertools
import json
import zipfile
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.downloads.archive import MANIFEST
from logkeep.downloads.rendition import Rendition, log_file, zip_file
from logkeep.extents import Facts
from logkeep.limits import FRAGMENT_MAX
from logkeep.logs import fragment
from logkeep.logs.fragment import GZIP_HEADER
from logkeep.logs.head import Totals
from tests.memory import MemoryLogs, content, made
from tests.samples import any_bytes, cuts_of, log_texts, without_debug

pytestmark = pytest.mark.unit

LOG = "build/0123/stage1"
FORMS = [
    {"gzip": False, "as_file": False},
    {"gzip": True, "as_file": False},
    {"gzip": True, "as_file": True},
]
EVERY_FORM = [form | {"without_debug": drop} for form in FORMS for drop in (False, True)]
forms = st.sampled_from(EVERY_FORM)
DEBUG = b"DEBUG: a detail\n\tof two lines\n"
INFO = b"INFO: what happened\n"


def file_of(logs: MemoryLogs, form: dict[str, bool]) -> Rendition:
    (head,) = logs.heads("build/0123")
    return log_file(logs, [head], "a.log", "text/plain", **form)


def logs_of(*bodies: bytes) -> MemoryLogs:
    logs = MemoryLogs()
    logs.append(LOG, *bodies)
    return logs


@pytest.fixture(autouse=True, params=[FRAGMENT_MAX, 64], ids=["FRAGMENT_MAX as it is", "FRAGMENT_MAX of 64 bytes"])
def _raw_max(request: pytest.FixtureRequest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment, "FRAGMENT_MAX", request.param)
        yield


def check_every_form(pieces: list[bytes]) -> None:
    logs, text = logs_of(*pieces), b"".join(pieces)
    for form in EVERY_FORM:
        file = file_of(logs, form)
        extents, facts = made(file)
        data = content(extents)
        expected = without_debug(text) if form["without_debug"] else text
        assert (gzip.decompress(data) if form["gzip"] else data) == expected
        received = data if form["as_file"] else expected
        assert facts == Facts(len(data), len(received), zlib.crc32(received))
        assert file.expected in (None, facts)
        assert (file.expected is None) == (expected != text)
        assert file.content_encoding == ("gzip" if form["gzip"] and not form["as_file"] else None)


@given(cuts_of(any_bytes))
def test_a_log_file_holds_its_text_and_tells_the_truth_of_itself(pieces: list[bytes]):
    check_every_form(pieces)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [DEBUG],
        [DEBUG, INFO, b"INFO: unfinished"],
        [INFO, b"DEBUG: unfinished"],
        [INFO, DEBUG, b"unfinished and continued"],
        [INFO, b"DE", b"BUG: cut", b" twice\n", INFO],
        [DEBUG, b"INFO: " + b"x" * 300, b"DEBUG: the same line\n", DEBUG, INFO],
        [DEBUG, INFO + b"INFO: " + b"x" * 300, INFO, INFO, DEBUG, INFO],
        [INFO, b"DEBUG: x\n", b"\tcontinued in another fragment\n", INFO],
    ],
)
def test_a_log_file_is_right_wherever_debug_records_and_fragments_meet(pieces: list[bytes]):
    check_every_form(pieces)


@given(cuts_of(log_texts), forms)
def test_a_file_may_be_made_again_and_is_the_same(pieces: list[bytes], form: dict[str, bool]):
    file, again = file_of(logs_of(*pieces), form), file_of(logs_of(*pieces), form)
    assert made(file) == made(file) == made(again)
    assert file.identity == again.identity


@given(cuts_of(log_texts), st.none() | cuts_of(log_texts), forms, forms)
def test_files_of_one_identity_have_the_same_bytes(
    some: list[bytes], others: list[bytes] | None, form: dict[str, bool], other_form: dict[str, bool]
):
    """Drawn apart, two logs are hardly ever the same: every other time one log is made in two forms."""
    one, other = file_of(logs_of(*some), form), file_of(logs_of(*(some if others is None else others)), other_form)
    if one.identity == other.identity:
        assert content(made(one)[0]) == content(made(other)[0])


def test_every_form_of_a_log_with_debug_records_has_an_identity_of_its_own():
    logs = logs_of(DEBUG + INFO)
    files = [file_of(logs, form) for form in EVERY_FORM]
    assert len({file.identity for file in files}) == len(files)


def test_without_debug_records_a_file_is_the_one_that_keeps_them():
    for form in FORMS:
        kept, dropped = (file_of(logs_of(INFO), form | {"without_debug": drop}) for drop in (False, True))
        assert kept.identity == dropped.identity
        assert kept.expected == dropped.expected is not None


@pytest.mark.parametrize("change", ["birth", "state", "end", "crc32", "packed", "packed_crc32"])
def test_what_changes_in_a_head_changes_the_identity(change: str):
    logs = MemoryLogs()
    head = logs.append(LOG, INFO)
    other = head.seal(Totals())
    if change != "state":
        value = getattr(head, change)
        changed: dict[str, Any] = {change: f"{value}1" if change == "birth" else value + 1}
        other = replace(head, **changed)
    one, two = (log_file(logs, [each], "a", "b", gzip=True) for each in (head, other))
    assert one.identity != two.identity
    assert zip_file(logs, [head], ["a"], "a").identity != zip_file(logs, [other], ["a"], "a").identity


def test_a_log_that_grows_is_made_up_to_the_head_that_was_asked_for():
    logs = MemoryLogs()
    head = logs.append(LOG, INFO)
    file = log_file(logs, [head], "a", "b", gzip=True)
    logs.append(LOG, DEBUG)
    assert gzip.decompress(content(made(file)[0])) == INFO


@given(st.lists(st.sampled_from([INFO, DEBUG, INFO * 3, b"\tcontinued\n", b"cut", b"INFO: cut"]), min_size=1))
def test_fragments_without_debug_records_are_spliced_as_they_are(bodies: list[bytes]):
    logs = logs_of(*bodies)
    (head,) = logs.heads("build/0123")
    text = b"".join(bodies)
    extents, _ = made(log_file(logs, [head], "a", "b", gzip=True, without_debug=True))
    spliced = {id(extent) for extent in extents}
    for row in logs.rows(head):
        each = row.fragment
        before = text[: each.offset]
        at_line_start = not before or before.endswith(b"\n")
        dropping = without_debug(before + b"\tcontinued\n") == without_debug(before)
        if at_line_start and not dropping and each.ends_line and not each.levels["DEBUG"]:
            assert id(row.extent) in spliced


def test_a_line_that_is_cut_between_fragments_is_filtered_as_one():
    bodies = [INFO, b"DEB", b"UG: x\nIN", b"FO: y\n", INFO]
    logs = logs_of(*bodies)
    (head,) = logs.heads("build/0123")
    extents, _ = made(log_file(logs, [head], "a", "b", gzip=True, without_debug=True))
    rows = [row.extent for row in logs.rows(head)]
    assert extents[1] is rows[0]
    assert extents[-2] is rows[-1]
    assert gzip.decompress(content(extents)) == INFO + b"INFO: y\n" + INFO


def test_a_log_of_nothing_but_debug_records_is_an_empty_file():
    logs = logs_of(DEBUG, DEBUG)
    text, packed, file = (made(file_of(logs, form | {"without_debug": True})) for form in FORMS)
    assert text == ([], Facts(0, 0, 0))
    assert gzip.decompress(content(packed[0])) == gzip.decompress(content(file[0])) == b""
    assert packed[1] == Facts(20, 0, 0)


def test_an_unfinished_debug_line_at_the_end_is_dropped_too():
    extents, _ = made(file_of(logs_of(INFO + b"DEBUG: unfinished"), FORMS[0] | {"without_debug": True}))
    assert content(extents) == INFO


def test_nothing_is_read_before_the_file_is_made(monkeypatch: pytest.MonkeyPatch):
    logs = logs_of(INFO)
    (head,) = logs.heads("build/0123")
    for method in ("rows", "texts", "text"):
        monkeypatch.setattr(logs, method, None)
    log_file(logs, [head], "a", "b", gzip=True, without_debug=True)
    making = zip_file(logs, [head], ["a"], "b").make()
    assert next(making)  # the header of the manifest


def test_a_whole_log_is_the_extents_of_its_rows_between_header_and_trailer():
    logs = logs_of(DEBUG, INFO)
    (head,) = logs.heads("build/0123")
    extents, _ = made(log_file(logs, [head], "a", "b", gzip=True))
    assert extents[0] == GZIP_HEADER
    rows = [row.extent for row in logs.rows(head)]
    assert all(extent is row for extent, row in zip(extents[1:-1], rows, strict=True))


@given(st.lists(st.tuples(st.text(max_size=8), cuts_of(any_bytes)), max_size=5))
def test_a_zip_holds_a_manifest_and_every_log(wanted: list[tuple[str, list[bytes]]]):
    logs = MemoryLogs()
    heads = [logs.append(f"check/0123/{number}", *pieces) for number, (_, pieces) in enumerate(wanted)]
    file = zip_file(logs, heads, (name for name, _ in wanted), "logs.zip")
    extents, facts = made(file)
    data = content(extents)
    assert facts == file.expected == Facts(len(data), len(data), zlib.crc32(data))
    assert file.estimate == len(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        first, *names = archive.namelist()
        assert first == MANIFEST
        assert [archive.read(name) for name in names] == [b"".join(pieces) for _, pieces in wanted]
        rows = json.loads(archive.read(MANIFEST))["logs"]
        assert [(row["id"], row["entry"]) for row in rows] == [
            (str(head.log_id), name) for head, name in zip(heads, names, strict=True)
        ]


def test_the_identity_of_a_zip_is_of_its_names_logs_and_their_order():
    logs = MemoryLogs()
    heads = [logs.append("check/0123/a", INFO), logs.append("check/0123/b", INFO)]
    asked = [
        zip_file(logs, some, names, "logs.zip").identity
        for some, names in itertools.product(
            ([], heads[:1], heads[1:], heads, heads[::-1]), (["a"], ["b"], ["a", "b"], ["b", "a"], [])
        )
        if len(some) == len(names)
    ]
    assert len(asked) == len(set(asked)) == 9
    assert zip_file(logs, heads, ["a", "b"], "x").identity in asked


def test_a_log_and_a_zip_of_it_have_different_identities():
    logs = MemoryLogs()
    head = logs.append(LOG, INFO)
    assert zip_file(logs, [head], ["a"], "x").identity != log_file(logs, [head], "a", "b", gzip=True).identity
