"""Searching a log, against a model that reads the whole text forwards, a line at a time."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from logkeep.apis.css import search as log_search
from logkeep.apis.css.search import LogItem, SearchAnswer, SearchRequest, search
from logkeep.errors import Invalid
from logkeep.logs import fragment
from logkeep.logs.head import Head
from logkeep.logs.levels import GRAMMAR, starts
from logkeep.logs.reader import Row
from logkeep.reading import backwards
from tests.memory import MemoryLogs

pytestmark = pytest.mark.unit

BASE = datetime(2026, 1, 31, 8, tzinfo=UTC)
LOG = "cluster/c/node-1/instance"
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")


def stamp(ms: int) -> str:
    return f"{(BASE + timedelta(milliseconds=ms)).replace(tzinfo=None).isoformat(timespec='milliseconds')}".replace(
        ".", ","
    )


def line(ms: int, level: str, text: str = "text") -> str:
    return f"[{stamp(ms)}][{level:5}][o.e.Node] {text}\n"


@dataclass
class Model:
    """A record as the naive reader sees it."""

    start: int
    text: bytes
    level: str | None
    time: int | None

    @property
    def order(self) -> tuple[int, int]:
        return backwards.NEVER if self.time is None else self.time, self.start

    @property
    def item(self) -> LogItem:
        text = self.text[: backwards.TEXT_MAX].removesuffix(b"\n").removesuffix(b"\r")
        if len(text) == backwards.TEXT_MAX:  # cut, perhaps within a character
            text = text[:-1] if text.endswith("文".encode()[:1]) else text
            text = text[:-2] if text.endswith("文".encode()[:2]) else text
        return LogItem(
            content=text.decode("utf-8", "replace"),
            date=None if self.time is None else stamp(self.time - int(BASE.timestamp() * 1000)),
            level=self.level,
        )


def modelled(text: bytes) -> list[Model]:
    records, offset, time = [Model(0, b"", None, None)], 0, None
    lines: list[list[bytes]] = [[]]  # of each record
    for each in text.splitlines(keepends=True) if b"\r" not in text else _lines(text):
        begun = list(starts(b"\n" + each.rstrip(b"\n") + b"\n"))
        if begun and begun[0].place == 0:
            time = begun[0].time if begun[0].time is not None else time
            records.append(Model(offset, b"", begun[0].level, time))
            lines.append([])
        lines[-1].append(each)
        offset += len(each)
    for record, its in zip(records, lines, strict=True):
        record.text = b"".join(its)
    return [each for each in records if each.text.strip()]


def _lines(text: bytes) -> Iterator[bytes]:
    *whole, last = text.split(b"\n")
    yield from (each + b"\n" for each in whole)
    yield last


def expected(text: bytes, asked: SearchRequest) -> list[LogItem]:
    """All that match, the newest first."""
    wanted = asked.wanted
    found = [
        each
        for each in modelled(text)
        if wanted.level(each.level)
        and (wanted.before is None or each.order < wanted.before)
        and wanted.keyword in each.text
    ]
    return [each.item for each in sorted(found, key=lambda each: each.order, reverse=True)]


def never() -> bool:
    return False


def ask(**fields: object) -> SearchRequest:
    return SearchRequest.model_validate({"instance_name": "node-1", "log_type": "instance", **fields})


def paged(
    logs: MemoryLogs, head: Head, go_on: Callable[[SearchAnswer], dict[str, object]], is_late=never, **fields: object
) -> list[SearchAnswer]:
    pages = [search(logs, head, ask(**fields), is_late)]
    while not pages[-1].completed:
        assert len(pages) < 3000, "it does not get on"
        pages.append(search(logs, head, ask(**fields | go_on(pages[-1])), is_late))
    return pages


def by_marker(page: SearchAnswer) -> dict[str, object]:
    return {"marker": page.marker}


def by_date(page: SearchAnswer) -> dict[str, object]:
    return {"time_index": page.logList[-1].date}


def newest_first(items: list[LogItem]) -> list[LogItem]:
    return sorted(items, key=lambda each: each.date or "", reverse=True)


def kept(bodies: list[bytes]) -> tuple[MemoryLogs, Head]:
    logs = MemoryLogs()
    return logs, logs.append(LOG, *(body for body in bodies if body))


@pytest.fixture(autouse=True, params=[(1 << 20, 128 << 10), (16, 300), (300, 700)], ids=str)
def _sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    """As they are, and so small that every record spans fragments, or is cut."""
    raw_max, text_max = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment, "FRAGMENT_MAX", raw_max)
        patch.setattr(backwards, "FRAGMENT_MAX", raw_max)
        patch.setattr(backwards, "_WINDOW_MAX", 4 * raw_max)
        patch.setattr(backwards, "TEXT_MAX", text_max)
        yield


_times = st.integers(0, 40).map(lambda number: number * 997)
_line = st.builds(line, _times, st.sampled_from(LEVELS), st.sampled_from(["a", "key [1]", "文", "x" * 300]))
_other = st.sampled_from(
    ["\tat a.b(C.java:1)\n", "\n", "plain\n", "INFO no time\n", "ERROR no time\r\n", "y" * 290 + "\n", "z" * 120,
     '{"level":"WARN","m":1}\n', "2026-01-31 08:00:20 no level\n", "INFO", "\x01\x01\n", "[2026-02-31T00:00:00] bad\n",
     "2026-01-31T09:00:05+01:00 WARN zone\n"]
)  # fmt: skip
_bodies = st.lists(st.lists(st.one_of(_line, _line, _other), max_size=6).map("".join).map(str.encode), max_size=8)
_cuts = st.lists(st.integers(0, 2000), max_size=6)
_queries = st.fixed_dictionaries(
    {},
    optional={
        "level": st.sampled_from(["ALL", "ERROR", "WARN|ERROR", "DEBUG", "INFO|DEBUG"]),
        "keyword": st.sampled_from(["key", "[1]", "time", "at a.b", "yy"]),
        "time_index": st.integers(-1, 42).map(lambda number: stamp(number * 997)),
    },
)
_limits = st.sampled_from([1, 2, 3, 7, 10_000])


def cut_up(bodies: list[bytes], cuts: list[int]) -> list[bytes]:
    """The same text as a shipper cuts it, without regard to lines."""
    whole = b"".join(bodies)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    return [whole[a:b] for a, b in pairwise(places)]


@given(_bodies, _cuts, _queries, _limits)
@example([line(0, "ERROR", "x" * 300).encode() * 3], [10, 200, 290, 300, 700], {"level": "ERROR"}, 1)
@example([b"INFO", b"RMATION\n", line(1, "WARN").encode()], [], {}, 1)
def test_pages_by_marker_are_all_that_matches_and_nothing_twice(bodies, cuts, query, limit) -> None:
    logs, head = kept(cut_up(bodies, cuts))
    pages = paged(logs, head, by_marker, **query, limit=limit)
    for page in pages:
        assert len(page.logList) <= limit
        assert page.completed == (page is pages[-1])
        assert page.completed == (page.marker is None)
    assert [each for page in pages for each in page.logList] == expected(b"".join(bodies), ask(**query))


@given(_bodies, _cuts, _queries, _limits, st.integers(0, 600))
def test_a_search_that_is_stopped_everywhere_still_gets_to_the_end(bodies, cuts, query, limit, budget) -> None:
    logs, head = kept(cut_up(bodies, cuts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_search, "READ_MAX", budget)
        pages = paged(logs, head, by_marker, lambda: True, **query, limit=limit)
    assert [each for page in pages for each in newest_first(page.logList)] == [
        each for page in pages for each in page.logList
    ]
    found = sorted((each for page in pages for each in page.logList), key=str)
    assert found == sorted(expected(b"".join(bodies), ask(**query)), key=str)


_jitter = st.lists(
    st.tuples(st.integers(0, 3000), st.sampled_from([0, 0, 50, 4000, 70_000]), st.sampled_from(LEVELS)), max_size=25
)


def jittered(steps: list[tuple[int, int, str]]) -> list[str]:
    """Lines whose times grow, but for some that are too old."""
    now, lines = 100_000, []
    for number, (step, late, level) in enumerate(steps):
        now += step
        lines.append(line(now - late, level, f"number {number}") + "\tgoes on\n" * (number % 3))
        if number % 4 == 1:
            lines.append("WARN without a time\n")
    return lines


@given(_jitter, _cuts, _queries, st.integers(-5000, 80_000))
def test_records_before_a_time_are_found_although_they_are_out_of_order(steps, cuts, query, since) -> None:
    whole = "".join(jittered(steps)).encode()
    logs, head = kept(cut_up([whole], cuts))
    query = {**query, "time_index": stamp(100_000 + since)}
    page = search(logs, head, ask(**query, limit=10_000), never)
    assert page.completed
    assert page.logList == expected(whole, ask(**query))


@given(_jitter, _cuts, st.sampled_from(["ALL", "ERROR", "WARN|ERROR"]), st.integers(1, 30))
def test_a_client_that_continues_from_the_oldest_date_misses_nothing(steps, cuts, level, limit) -> None:
    whole = "".join(jittered(steps)).encode()
    logs, head = kept(cut_up([whole], cuts))
    wanted = expected(whole, ask(level=level))
    # More records of one millisecond than a page holds cannot be told apart by their date.
    same = max(Counter(each.date for each in wanted).values(), default=1)
    pages = paged(logs, head, by_date, level=level, limit=max(limit, same))
    assert [each for page in pages for each in page.logList] == wanted


@pytest.mark.parametrize("go_on", [by_marker, by_date])
def test_nothing_is_lost_when_the_clock_goes_back_at_the_end_of_summer_time(go_on) -> None:
    # Berlin, 25 October 2026: after 02:59 it is 02:00 again.
    minutes = [*range(0, 180, 5), *range(120, 240, 5)]
    lines = [
        f"2026-10-25 {at // 60:02}:{at % 60:02}:{index % 60:02},{index:03} INFO n\n" for index, at in enumerate(minutes)
    ]
    for zone in ("Europe/Berlin", "UTC"):
        logs = MemoryLogs(time_zone=zone)
        head = logs.append(LOG, *(line.encode() for line in lines))
        pages = paged(logs, head, go_on, limit=10)
        assert sorted(each.content for page in pages for each in page.logList) == sorted(map(str.strip, lines))


@given(st.integers(1, 6), st.integers(1, 5), _cuts)
def test_a_page_never_ends_within_a_millisecond_that_it_could_hold(limit, same, cuts) -> None:
    whole = "".join(line(second * 1000, "INFO", str(number)) for second in range(6) for number in range(same)).encode()
    logs, head = kept(cut_up([whole], cuts))
    if same > limit:
        page = search(logs, head, ask(limit=limit), never)
        assert len(page.logList) == limit
        assert len({each.date for each in page.logList}) == 1
        return
    pages = paged(logs, head, by_date, limit=limit)
    assert [each for page in pages for each in page.logList] == expected(whole, ask())


def test_a_page_holds_at_most_so_many_bytes_of_json_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_search, "PAGE_MAX", 20_000)
    whole = "".join(line(number * 1000, "INFO", "\x01" * 200) for number in range(60)).encode()
    logs, head = kept([whole])
    pages = paged(logs, head, by_date, limit=10_000)
    assert len(pages) > 1
    assert all(len(page.model_dump_json()) < 20_100 for page in pages)
    assert [each for page in pages for each in page.logList] == expected(whole, ask())


def test_a_record_of_any_length_is_shown_by_its_beginning() -> None:
    size = 3 * backwards.TEXT_MAX
    for middle in ("x" * size, "\tat a.b\n" * (size // 8)):
        whole = (line(0, "INFO") + line(1, "ERROR", "it begins " + middle) + line(2, "INFO")).encode()
        logs, head = kept(cut_up([whole], list(range(0, len(whole), 100_000))))
        (found,) = search(logs, head, ask(level="ERROR"), never).logList
        assert found == expected(whole, ask(level="ERROR"))[0]
        assert len(found.content) <= backwards.TEXT_MAX


@pytest.mark.parametrize(
    "fields",
    [{"instance_name": "a/b"}, {"instance_name": ""}, {"log_type": "gc"}, {"level": "TRACE"}, {"level": "ALL|WARN"},
     {"level": "warn"}, {"level": "WARN|"}, {"limit": 0}, {"limit": 10_001}, {"limit": "x"},
     {"time_index": "2026-01-31 08:00:00,000"}, {"time_index": "2026-02-31T08:00:00,000"},
     {"time_index": "2026-01-31T08:00:00"}, {"keyword": "a" * 65}, {"keyword": "a*"}, {"keyword": "é"},
     {"keyword": "a\n"}, {"marker": -1}, {"marker": "x"}, {"level": []}, {"time_index": {}}],
)  # fmt: skip
def test_what_is_not_as_documented_is_refused_by_its_name(fields) -> None:
    with pytest.raises(ValidationError) as caught:
        ask(**fields)
    assert [each["loc"][0] for each in caught.value.errors()] == list(fields)


def test_empty_fields_are_the_defaults_and_the_older_names_are_known() -> None:
    empty = {"level": "", "limit": None, "time_index": "", "keyword": ""}
    told = SearchRequest.model_validate({"instanceName": "node-1", "logType": "instance", **empty})
    assert told == ask()
    assert (told.level, told.limit, told.time_index, told.keyword) == ("ALL", 100, None, "")


def test_what_is_cut_within_a_character_ends_before_it() -> None:
    for shift in range(3):
        logs, head = kept([b"INFO " + b"x" * shift + "文".encode() * backwards.TEXT_MAX])
        (found,) = search(logs, head, ask(), never).logList
        assert found.content == "INFO " + "x" * shift + "文" * ((backwards.TEXT_MAX - 5 - shift) // 3)


def test_a_time_that_no_calendar_has_is_no_date() -> None:
    whole = b"0001-01-01 00:30:00+02:00 INFO early\n9999-12-31 23:30:00-02:00 INFO late\n"
    logs, head = kept([whole])
    assert [each.date for each in search(logs, head, ask(), never).logList] == [None, None]


def test_an_error_in_a_last_line_without_a_newline_is_found_by_its_level() -> None:
    for bodies in (
        [b"INFO one\nERROR at the end"],
        [b"INFO one\nERR", b"OR at the end"],
        [b"INFO one\n", b"ERROR at the end"],
    ):
        logs, head = kept(bodies)
        page = search(logs, head, ask(level="ERROR"), never)
        assert [each.content for each in page.logList] == ["ERROR at the end"]


def test_what_goes_on_in_a_fragment_of_later_records_is_told_with_the_record_before_a_time() -> None:
    logs, head = kept(
        [(line(0, "ERROR", "it") + "\tat one\n").encode(), ("\tat two\n" + line(60_000, "INFO")).encode()]
    )
    (found,) = search(logs, head, ask(time_index=stamp(1000)), never).logList
    assert found.content.endswith("it\n\tat one\n\tat two")


def test_a_record_between_later_ones_is_found_by_its_time() -> None:
    bodies = [line(12_000, "INFO"), line(15_000, "INFO") + line(8_000, "INFO", "late") + line(15_000, "INFO")]
    logs, head = kept([each.encode() for each in bodies])
    (found,) = search(logs, head, ask(time_index=stamp(10_000)), never).logList
    assert found.date == stamp(8_000)


@given(_bodies, _cuts, _queries, _limits, st.integers(0, 2))
def test_what_another_grammar_counted_is_not_relied_on(bodies, cuts, query, limit, every) -> None:
    # The grammar of before knew no level and no time, so a record without a time of its own may have none now.
    logs = OfTwoGrammars(every)
    head = logs.append(LOG, *(body for body in cut_up(bodies, cuts) if body))
    pages = paged(logs, head, by_marker, **query, limit=limit)
    found = Counter(each.content for page in pages for each in page.logList)
    wanted = expected(b"".join(bodies), ask(**query))
    if "time_index" not in query:
        assert found == Counter(each.content for each in wanted)
    own = Counter(each.content for each in wanted if each.content.startswith("[2026-01-31"))
    assert own <= found


class OfTwoGrammars(MemoryLogs):
    """Logs of which every so-manieth fragment was read with a grammar of before (0: all)."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self._every = every

    def rows_back(self, head: Head, end: int) -> Iterator[Row]:
        numbers = {row.fragment.offset: number for number, row in enumerate(self.rows(head))}
        for row in super().rows_back(head, end):
            if self._every and numbers[row.fragment.offset] % self._every:
                yield row
                continue
            older = replace(
                row.fragment, grammar=GRAMMAR - 1, levels=Counter(), first_time=None, last_time=None,
                least_time=None, greatest_time=None, newest_time=None,
                before=replace(row.fragment.before, level=None),
            )  # fmt: skip
            yield row._replace(fragment=older)


def test_a_marker_of_a_deleted_log_is_refused() -> None:
    logs = MemoryLogs()
    lines = [f"2026-01-01 10:00:0{second},000 INFO line {second}\n".encode() for second in range(4)]
    first = search(logs, logs.append(LOG, *lines), ask(limit=2), never)
    logs.delete(LOG)
    request = ask(limit=2, marker=first.marker)
    with pytest.raises(Invalid, match=r"marker: .*begun anew"):
        search(logs, logs.append(LOG, *lines), request, never)
