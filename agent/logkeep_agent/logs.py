"""Reads one log: `logkeep logs ID`."""

import argparse
import base64
import http.client
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from functools import partial
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode

from logkeep_agent import Refused
from logkeep_agent.service import Later, opener, refusal_of

_JSON_LINES: Final = "application/x-ndjson"
_TIMEOUT: Final = 90.0  # seconds without a byte
_TRIES: Final = 6
_PAUSE: Final = 1.0  # seconds before the first repetition, then twice as many
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DESCRIPTION: Final = """\
Prints the lines of a log, as grep, tail and kubectl logs do. The token needs the scope logs:read.
"""
EXITS: Final = "exit status, as grep's: 0 there were lines; 1 there were none; 2 an error"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="ID", help="such as build/RECORD/stage1")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="and then what is appended, until the log is sealed"
    )
    parser.add_argument("--tail", metavar="N", help="the last N of the lines that match")
    parser.add_argument("--since", metavar="TIME", help="15m, 2h, 7d, or a time of RFC 3339")
    parser.add_argument("--until", metavar="TIME", help="lines before this time")
    parser.add_argument("--lines", metavar="A-B", help="lines by number, the first being 1")
    parser.add_argument("--level", help="log records of this level and worse: debug, info, warn, error")
    parser.add_argument("--grep", metavar="PATTERN", help="lines that match an expression of RE2")
    parser.add_argument("-F", "--fixed", action="store_true", help="PATTERN is a text")
    parser.add_argument("-i", "--ignore-case", action="store_true")
    parser.add_argument("-v", "--invert", action="store_true", help="lines that do not match")
    parser.add_argument("-c", "--count", action="store_true", help="only how many lines match")
    parser.add_argument("-A", "--after", metavar="N", help="lines of context after each that matches")
    parser.add_argument("-B", "--before", metavar="N", help="before")
    parser.add_argument("-C", "--context", metavar="N", help="before and after")
    parser.add_argument("-o", "--output", choices=("raw", "json"), default="raw")
    parser.add_argument("--timestamps", action="store_true", help="each line after its time, in UTC")


class Reading:
    """One log, read page by page. Raises Refused."""

    def __init__(self, arguments: argparse.Namespace, token: Callable[[], str], out: IO[bytes]) -> None:
        self._arguments = arguments
        self._token = token
        self._out = out
        self._is_terminal = out.isatty()

    def run(self) -> int:
        """The exit status."""
        arguments = self._arguments
        query = {name: value for name in _VALUES if (value := getattr(arguments, name)) is not None}
        query |= {name: "true" for name in _SWITCHES if getattr(arguments, name)}
        # What a program in the log wrote to a terminal could change more than colours.
        query |= {"ansi": "color"} if self._is_terminal else {}
        query = query or {"lines": "1-"}
        if arguments.follow or arguments.output == "json" or arguments.timestamps:
            return self._lines(query)
        return self._count(query) if arguments.count else self._text(query)

    def _text(self, query: dict[str, str]) -> int:
        found = False
        for content in self._pages(query):
            found = found or bool(content)
            self._write(content)
        return 0 if found else 1

    def _count(self, query: dict[str, str]) -> int:
        count = sum(int(content) for content in self._pages(query))
        self._write(b"%d\n" % count)
        return 0 if count else 1

    def _pages(self, query: dict[str, str]) -> Iterator[bytes]:
        is_over = False
        while not is_over:
            content, headers = self._patiently(partial(self._page, query))
            self._say_lost(headers.get("Logkeep-Lost"))
            is_over = headers.get("Logkeep-More") != "true"
            query = query | {"cursor": headers.get("Logkeep-Cursor", "")}
            yield content

    def _page(self, query: Mapping[str, str]) -> tuple[bytes, Message]:
        with self._open(query, "text/plain") as answer:
            return answer.read(), answer.headers

    def _lines(self, query: dict[str, str]) -> int:
        """By JSON lines, of which each has a cursor, so that a broken answer is continued."""
        found, is_over = False, False
        state: dict[str, Any] = {"query": query, "last": {}}

        def read() -> bool:
            """Whether the answer came to its end."""
            nonlocal found
            with self._open(state["query"], _JSON_LINES) as answer:
                for line in answer:
                    if not line.strip():
                        continue
                    told = json.loads(line)
                    if "cursor" in told:
                        state["query"] = {**state["query"], "cursor": told["cursor"]}
                    if told.get("end"):
                        state["last"] = told
                        return True
                    if "lost" in told:
                        self._say_lost(f"{told['offset']}+{told['lost']}")
                    else:
                        found = True
                    self._write_line(line, told)
            raise Later("the answer broke off")

        while not is_over:
            self._patiently(read)
            is_over = not state["last"]["more"]
        if self._arguments.count and state["last"].get("matched") is not None:
            found = bool(state["last"]["matched"])
            self._write(b"%d\n" % state["last"]["matched"])
        return 0 if found else 1

    def _write_line(self, line: bytes, told: dict[str, Any]) -> None:
        if self._arguments.output == "json":
            self._write(line)
        elif "lost" not in told:
            text = base64.b64decode(told["data"]) if "data" in told else told["text"].encode()
            stamp = f"{_rfc_3339(told.get('time'))} ".encode() if self._arguments.timestamps else b""
            self._write(stamp + text + (b"" if told.get("cut") else b"\n"))
        if self._arguments.follow:
            self._out.flush()

    def _write(self, content: bytes) -> None:
        self._out.write(content)

    def _say_lost(self, lost: str | None) -> None:
        if lost:
            print(f"logkeep: text of the log is lost (offset+bytes): {lost}", file=sys.stderr)

    def _open(self, query: Mapping[str, str], accept: str) -> http.client.HTTPResponse:
        """Raises Later, or Refused."""
        given = self._arguments
        path = f"/v1/{quote(given.project, safe='')}/logs/{quote(given.log)}?{urlencode(query)}"
        headers = {"Accept": accept, "X-Auth-Token": self._token()}
        request = urllib.request.Request(given.endpoint.rstrip("/") + path, headers=headers)  # noqa: S310 - see main
        try:
            answer: http.client.HTTPResponse = opener().open(request, timeout=_TIMEOUT)
        except HTTPError as error:
            with error:
                raise refusal_of(error) from error
        return answer

    def _patiently[T](self, work: Callable[[], T]) -> T:
        pause = _PAUSE
        for tries in range(_TRIES):
            try:
                return work()
            except Later as later:
                if tries == _TRIES - 1:
                    raise Refused(str(later)) from later
                pause = max(pause, later.wait)
            except (OSError, http.client.HTTPException, ValueError) as error:
                if tries == _TRIES - 1:
                    reason = error.reason if isinstance(error, URLError) else error
                    raise Refused(f"{self._arguments.endpoint} does not answer: {reason}") from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError("not reached")


_VALUES: Final = ("tail", "since", "until", "lines", "level", "grep", "after", "before", "context")
_SWITCHES: Final = ("follow", "fixed", "ignore_case", "invert", "count")


def _rfc_3339(ms: int | None) -> str:
    """A time; of a line without one, as wide a dash."""
    if ms is None:
        return "-".ljust(24)
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_log(arguments: argparse.Namespace, token: Callable[[], str]) -> int:
    """The exit status. Raises Refused."""
    try:
        status = Reading(arguments, token, sys.stdout.buffer).run()
        sys.stdout.buffer.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has what it wants
        return 0
    except KeyboardInterrupt:
        return 130
