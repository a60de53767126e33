"""Names of the files in a ZIP, which may come from anywhere."""

import re
import unicodedata
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.downloads import archive
from logkeep.downloads.archive import MANIFEST, NAME_MAX, entry_names
from tests.examples import LONG, examples

pytestmark = pytest.mark.unit

MANY = 10_000 if LONG else 2_000

_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?")
nasty = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(
            [
                *("", ".", "..", "/", "\\", "a", "A", "ß", "SS", "é", "e\u0301", " ", ".txt", ".log", "~2", "日" * 60),
                *("con", "NUL", "COM¹", "C:", "\u202e", "\x00", "\n", "\ud800", "x" * 100, "manifest", ".json"),
            ]
        ),
        max_size=8,
    ).map("".join),
)


def folded(name: str) -> str:
    """As file systems compare that ignore case and how a character is composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@examples(100)
@given(st.lists(nasty, max_size=12))
def test_names_of_any_origin_can_be_unpacked_inside_a_folder(wanted: list[str]):
    result = entry_names(wanted)
    assert result == entry_names(iter(wanted))
    assert len(result) == len(wanted)
    for name in result:
        assert 0 < len(name.encode()) <= NAME_MAX
        assert not re.search(r'[\\:*?"<>|]', name)
        assert not any(unicodedata.category(char)[0] == "C" for char in name)
        for part in name.split("/"):
            assert part not in ("", ".", "..")
            assert not part.endswith((".", " "))
            assert not _DEVICES.fullmatch(part)
    files = [folded(name) for name in result]
    assert len({*files, MANIFEST}) == len(files) + 1
    folders = {"/".join(parts[:end]) for parts in (name.split("/") for name in files) for end in range(1, len(parts))}
    assert folders.isdisjoint({*files, MANIFEST})


@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,8}(\.log)?", fullmatch=True), unique=True))
def test_names_that_are_safe_and_different_stay_as_they_are(wanted: list[str]):
    assert entry_names(f"logs/{name}" for name in wanted) == [f"logs/{name}" for name in wanted]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["../../etc/passwd"], ["etc/passwd"]),
        (["/etc/passwd"], ["etc/passwd"]),
        (["C:\\Windows\\x.log"], ["C_/Windows/x.log"]),
        (["a/./b//c"], ["a/b/c"]),
        (["..", ".", "", "/", "..."], ["_", "_~2", "_~3", "_~4", "_~5"]),
        (["con", "aux.txt", "NUL.tar.gz", "lpt1", "com¹.log", "CONIN$", "con .log"],
         ["_con", "_aux.txt", "_NUL.tar.gz", "_lpt1", "_com¹.log", "_CONIN$", "_con .log"]),
        (["console", "com", "com10"], ["console", "com", "com10"]),
        (["a\x00b\u202ec\nd"], ["a_b_c_d"]),
        (["a.", "a ", "a"], ["a", "a~2", "a~3"]),
        (["A.log", "a.log", "a.LOG"], ["A.log", "a~2.log", "a~3.LOG"]),
        (["straße", "STRASSE"], ["straße", "STRASSE~2"]),
        (["caf\u00e9", "cafe\u0301"], ["caf\u00e9", "cafe\u0301~2"]),
        (["manifest.json", "Manifest.JSON"], ["manifest~2.json", "Manifest~3.JSON"]),
        (["a", "a/b", "a/c/d"], ["a", "a_b", "a_c_d"]),
        (["a/b", "a", "A/c"], ["a/b", "a~2", "A/c"]),
        (["manifest.json/a"], ["manifest.json_a"]),
        (["a/b", "a/b/c"], ["a/b", "a_b_c"]),
        (["a~2", "a", "a"], ["a~2", "a", "a~3"]),
        ([".log", ".log"], [".log", ".log~2"]),
        (["a.b/c", "a.b/c"], ["a.b/c", "a.b/c~2"]),
    ],
    ids=repr,
)  # fmt: skip
def test_a_name_that_cannot_stay_is_changed_as_little_as_possible(wanted: list[str], names: list[str]):
    assert entry_names(wanted) == names


def test_a_name_that_is_taken_gets_the_lowest_number_that_is_free():
    short = ["a.log", "A.log"] * 60
    assert entry_names(short) == ["a.log", *(f"{'Aa'[number % 2]}~{number}.log" for number in range(2, 121))]
    long = ["x" * 254 + "a", "x" * 254 + "b", "x" * 253]  # cut to the same name where they are numbered
    tails = [f"~{number}" for number in range(2, 119)]
    assert entry_names(long * 40) == [*long, *("x" * (NAME_MAX - len(tail)) + tail for tail in tails)]


@pytest.mark.soak
@pytest.mark.parametrize(
    "wanted",
    [
        ["".join(letters) for letters in islice(product(*zip("abcdefghijklmn", "ABCDEFGHIJKLMN", strict=True)), MANY)],
        ["a.log"] * MANY,
        # Different names, whose numbered forms are cut to the same one.
        ["x" * 252 + chr(0x4E00 + number) for number in range(MANY // 2)] * 2,
    ],
    ids=["differ in case", "equal", "equal once cut"],
)
def test_the_work_for_a_name_does_not_grow_with_the_names_like_it(wanted: list[str], monkeypatch: pytest.MonkeyPatch):
    tried = []

    def is_free(folded: str, files: set[str], folders: set[str]) -> bool:
        tried.append(folded)
        return folded not in files

    monkeypatch.setattr(archive, "_is_free", is_free)
    assert len({folded(name) for name in entry_names(wanted)}) == len(wanted)
    assert len(tried) < 2 * len(wanted)


def test_a_long_name_is_cut_between_characters_and_keeps_its_ending_where_it_is_numbered():
    first, second = entry_names(["日" * 100 + ".log"] * 2)
    assert first == "日" * 85
    assert second == "日" * 84 + "~2"
    first, second = entry_names(["x" * 251 + ".log"] * 2)
    assert (first, second) == ("x" * 251 + ".log", "x" * 249 + "~2.log")


def test_a_cut_leaves_no_device_name():
    assert entry_names(["a" * 251 + "/confoo", "a" * 251 + "/nul.x"]) == ["a" * 251 + "/_on", "a" * 251 + "/_nu"]
