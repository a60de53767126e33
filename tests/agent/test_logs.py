"""`logkeep logs` before a service that answers line by line."""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from logkeep_agent import Refused, logs
from logkeep_agent.__main__ import _parser
from logkeep_agent.service import Later, Service

pytestmark = pytest.mark.unit


class Answers(Service):
    """Gives the answers in turn; an exception in one breaks it off."""

    def __init__(self, *answers: list[dict[str, Any] | Exception]) -> None:
        self.answers = list(answers)
        self.queries: list[Mapping[str, str]] = []

    def lines(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        self.queries.append(dict(query))
        for each in self.answers.pop(0):
            if isinstance(each, Exception):
                raise each
            yield each


def line(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"cursor": f"c{number}", "offset": number, "line": number, "text": text, **more}


def end(*, more: bool = False, **told: Any) -> dict[str, Any]:
    return {"cursor": "e", "end": True, "more": more, "matched": None, "complete": True, **told}


def run(answers: Answers, *options: str, terminal: bool = False) -> tuple[int, bytes, list[str]]:
    """The exit status, what was printed, and what was said."""
    out, said = io.BytesIO(), list[str]()
    out.isatty = lambda: terminal  # type: ignore[method-assign]  # as a terminal
    arguments = _parser({}).parse_args(["logs", "app/a", *options])
    return logs.run(answers, arguments, said.append, out, lambda _: None), out.getvalue(), said


def test_lines_are_printed_and_the_status_is_that_of_grep() -> None:
    assert run(Answers([line(1, "a"), line(2, "ü"), end()])) == (0, "a\nü\n".encode(), [])
    assert run(Answers([end()])) == (1, b"", [])
    assert run(Answers([line(1, "around", context=True), end()]))[0] == 1


def test_options_become_the_parameters_of_the_query() -> None:
    answers = Answers([end()])
    run(answers, "--grep", "a b", "-i", "-v", "-F", "-A", "1", "-B", "2", "-C", "3", "--level", "WARN", "--since", "2h")
    expected = {"grep": "a b", "ignore_case": "true", "invert": "true", "fixed": "true", "after": "1", "before": "2"}
    assert answers.queries == [expected | {"context": "3", "level": "WARN", "since": "2h"}]


def test_answers_are_continued_by_their_cursor_until_there_is_no_more() -> None:
    answers = Answers([line(1, "a"), end(more=True)], [line(2, "b"), end()])
    assert run(answers, "--tail", "5")[1] == b"a\nb\n"
    assert answers.queries == [{"tail": "5"}, {"cursor": "e"}]


def test_a_broken_answer_is_continued_after_the_last_line_that_came() -> None:
    broken = [line(1, "a"), line(2, "b"), Later("the answer broke off")]
    answers = Answers(broken, [Later("no answer")], [line(3, "c")], [end()])
    status, printed, said = run(answers)
    assert (status, printed) == (0, b"a\nb\nc\n")
    assert [query.get("cursor") for query in answers.queries] == [None, "c2", "c2", "c3"]
    assert len(said) == 2


def test_a_service_that_does_not_answer_is_given_up() -> None:
    with pytest.raises(Refused, match="no answer; tried 6 times"):
        run(Answers(*([Later("no answer")] for _ in range(6))))


def test_a_limit_is_of_all_answers_together() -> None:
    answers = Answers([line(1, "a"), line(2, "x", context=True), end(more=True)], [line(3, "b"), end(more=True)])
    assert run(answers, "-m", "2", "-C", "1")[1] == b"a\nx\nb\n"
    assert [query["limit"] for query in answers.queries] == ["2", "1"]


def test_counts_of_all_answers_are_added_up() -> None:
    answers = Answers([end(more=True, matched=3)], [end(matched=4)])
    assert run(answers, "-c") == (0, b"7\n", [])
    assert run(Answers([end(matched=0)]), "-c") == (1, b"0\n", [])


def test_lost_text_is_said_and_what_follows_is_printed() -> None:
    answers = Answers([line(1, "a"), {"offset": 2, "lost": 10}, line(9, "b"), end(lost=[{"offset": 2, "bytes": 10}])])
    assert run(answers) == (2, b"a\nb\n", ["10 bytes from byte 2 on are lost or damaged"])


def test_lines_that_are_not_neighbours_are_parted_where_context_is_asked_for() -> None:
    lines = [line(1, "a"), line(2, "b", context=True), line(7, "c"), end()]
    assert run(Answers(lines), "-A", "1")[1] == b"a\nb\n--\nc\n"
    assert run(Answers(lines))[1] == b"a\nb\nc\n"


def test_bytes_and_pieces_of_a_long_line_are_printed_as_they_were() -> None:
    data = {"cursor": "c", "offset": 0, "line": 1, "data": base64.b64encode(b"\xff\xfe").decode()}
    pieces = [line(2, "lon", cut=True), line(2, "g"), end()]
    assert run(Answers([data, *pieces]))[1] == b"\xff\xfe\nlong\n"


def test_times_stand_before_lines() -> None:
    lines = [line(1, "none", time=None), line(2, "lon", time=1_795_334_400_007, cut=True), line(2, "g"), end()]
    assert run(Answers(lines), "--timestamps")[1] == b"- none\n2026-11-22T08:00:00.007Z long\n"


def test_levels_have_colours_on_a_terminal_only() -> None:
    lines = [line(1, "bad", level="ERROR"), line(2, "good", level="INFO"), end()]
    answers = Answers(lines)
    assert run(answers, terminal=True)[1] == b"\x1b[31mbad\x1b[0m\ngood\n"
    assert answers.queries == [{"ansi": "color"}]
    assert run(Answers(lines))[1] == b"bad\ngood\n"
    assert run(Answers(lines), "--color", "never", terminal=True)[1] == b"bad\ngood\n"
    assert run(Answers(lines), "--color", "always")[1] == b"\x1b[31mbad\x1b[0m\ngood\n"


def test_json_is_one_object_a_line() -> None:
    _, printed, _ = run(Answers([line(1, "a", level="INFO"), line(2, "é"), end()]), "-o", "json")
    assert [json.loads(each)["text"] for each in printed.splitlines()] == ["a", "é"]


def test_a_follow_ends_with_the_log_and_prints_what_is_appended_as_it_comes() -> None:
    pieces = [{"cursor": "1", "offset": 0, "text": "a\nhal"}, {"cursor": "2", "offset": 5, "text": "f\n"}]
    answers = Answers([*pieces, end(more=True)], [end(state="deleted")])
    assert run(answers, "-f") == (0, b"a\nhalf\n", ["the log was deleted"])
    assert answers.queries == [{"follow": "true"}, {"follow": "true", "cursor": "e"}]


def test_a_follow_waits_for_a_service_that_is_away() -> None:
    answers = Answers(*([Later("no answer")] for _ in range(20)), [line(1, "a"), end()])
    status, printed, said = run(answers, "-f")
    assert (status, printed, said) == (0, b"a\n", ["no answer; will try again"])
