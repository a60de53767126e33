import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.errors import Invalid
from logkeep.logid import LOG_ID_MAX, LogId, is_segment

pytestmark = pytest.mark.unit

segments = st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True).filter(lambda text: text not in (".", ".."))
numbers = st.integers(0, 999_999_999).map(str)
ids = (
    st.one_of(
        st.tuples(st.just("task"), segments, numbers, segments, numbers),
        st.tuples(st.just("build"), segments, segments),
        st.tuples(st.just("check"), segments),
        st.tuples(st.just("check"), segments, segments),
        st.tuples(st.just("cluster"), segments, segments, segments),
        st.lists(segments, min_size=1, max_size=8).map(lambda names: ("app", *names)),
    )
    .map("/".join)
    .filter(lambda text: len(text) <= LOG_ID_MAX)
)


@given(ids)
def test_an_id_is_its_own_text(text: str):
    log_id = LogId.parse(text)
    assert str(log_id) == text
    assert LogId.parse(str(log_id)) == log_id
    assert "/".join(filter(None, (log_id.owner, log_id.rest))) == text


@given(st.one_of(st.text(max_size=20), st.lists(st.one_of(segments, st.text(max_size=3)), max_size=6).map("/".join)))
def test_what_is_not_refused_has_one_of_the_five_shapes(text: str):
    segment = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,128}"
    number = r"(?:0|[1-9][0-9]{0,8})"
    shapes = (
        rf"task/{segment}/{number}/{segment}/{number}",
        rf"build/{segment}/{segment}",
        rf"check/{segment}(?:/{segment})?",
        rf"cluster/{segment}/{segment}/{segment}",
        rf"app(?:/{segment}){{1,8}}",
    )
    fits = any(re.fullmatch(shape, text, re.ASCII) for shape in shapes)
    with contextlib.nullcontext() if fits else pytest.raises(Invalid):
        LogId.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "task",
        "other/a/b",
        "Build/a/b",
        "/build/a/b",
        "build/a",
        "build/a/",
        "build/a/b/",
        "build/a/b/c",
        "build//b",
        "build/./b",
        "build/../b",
        "build/a/..",
        "build/a b/c",
        "build/a%2Fb/c",
        "build/ä/c",
        "build/a\\b/c",
        "build/a/b\n",
        "build/a/" + "x" * 129,
        "task/t/00/c/0",
        "task/t/-1/c/0",
        "task/t/0/c/01",
        "task/t/0/c/1234567890",
        "task/t/\u0661/c/0",
        "task/t/x/c/0",
        "check/a/b/c",
        "cluster/a/b",
        "app",
        "app/",
        "app/a/",
        "app//a",
        "app/a/../b",
        "app/a@b",
        "App/a",
        "app/" + "/".join("12345678") + "/9",
        "app/" + "/".join(["x" * 127] * 4),
    ],
)
def test_what_is_no_id_is_refused(text: str):
    with pytest.raises(Invalid) as caught:
        LogId.parse(text)
    assert caught.value.field == "log_id"


def test_dots_within_a_segment_are_allowed():
    assert LogId.parse("build/.../..a").segments == ("...", "..a")


@pytest.mark.parametrize(
    ("text", "owner", "rest"),
    [
        ("task/t/0/main/12", "task/t", "0/main/12"),
        ("build/r/stage1", "build/r", "stage1"),
        ("check/s", "check/s", ""),
        ("check/s/f.log", "check/s", "f.log"),
        ("cluster/c/i/slow", "cluster/c", "i/slow"),
        ("app/web", "app/web", ""),
        ("app/shop/web/2026-11-28", "app/shop/web/2026-11-28", ""),
    ],
)
def test_a_log_belongs_to_its_first_segment_and_one_of_kind_app_to_itself(text: str, owner: str, rest: str):
    assert (LogId.parse(text).owner, LogId.parse(text).rest) == (owner, rest)


def test_no_id_can_be_longer_than_the_limit():
    longest = "/".join(["task", "t" * 128, "9" * 9, "c" * 128, "9" * 9])
    assert len(str(LogId.parse(longest))) <= LOG_ID_MAX


@pytest.mark.parametrize("text", ["a", "A-Z_0.9", "x" * 128, "..."])
def test_a_segment_is_up_to_128_plain_characters(text: str):
    assert is_segment(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "x" * 129, "a\n", " a", "é"])
def test_what_is_no_segment_is_none(text: str):
    assert not is_segment(text)


RECORD = "5c77b71c-5b35-4f50-8984-76387e42451a"


@pytest.mark.parametrize(
    "text",
    [f"build/{RECORD}/stage1", f"build/{RECORD}/build", f"build/{'a' * 36}/x", f"check/{'a' * 32}",
     f"check/{'A' * 32}/f", "task/t/0/c/0", "task/t/0/_/0", "cluster/c/node-1/instance", "cluster/c/node-1/audit",
     "app/a"],
)  # fmt: skip
def test_an_id_can_be_asked_for(text: str):
    assert LogId.parse(text).why_unreadable is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [("build/42/build", "record_id is 36 characters"), ("build/42/stage1", "record_id is 36 characters"),
     (f"build/{RECORD.upper()}/stage1", "record_id is 36 characters"), (f"build/{'a' * 37}/stage1", "36 characters"),
     (f"build/{'_' * 36}/stage1", "36 characters"), ("check/42", "sub_job_id is 32 characters"),
     (f"check/{'a' * 31}/f", "32 characters"), (f"check/{'a' * 33}", "32 characters")],
)  # fmt: skip
def test_an_id_that_nobody_can_ask_for_has_a_reason(text: str, reason: str):
    assert reason in (LogId.parse(text).why_unreadable or "")
