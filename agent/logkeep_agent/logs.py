"""`logkeep logs`: prints the lines of a log that a query wants, as grep, tail and kubectl logs do."""

import argparse
import base64
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from logkeep_agent import Refused
from logkeep_agent.service import Later, Service

FOUND, NOT_FOUND, FAILED = 0, 1, 2  # as grep's
_TRIES: Final = 6  # without a line
_PAUSE: Final = 0.5  # seconds before the first one, which double
_PAUSE_MAX: Final = 30.0
_COLORS: Final = {"ERROR": b"\x1b[31m", "WARN": b"\x1b[33m", "DEBUG": b"\x1b[2m"}
_RESET: Final = b"\x1b[0m"
_NAMES: Final = (
    *("since", "until", "lines", "level", "grep", "fixed", "ignore_case", "invert", "before", "after", "context"),
    *("tail", "limit", "count", "follow"),
)
HELP: Final = """\
Prints the lines of a log. --grep and its options mean what grep means by them, --tail, --since and -f what kubectl logs
does.

  logkeep logs ID --tail 100
  logkeep logs ID --level ERROR -C 2
  logkeep logs ID --grep 'status=5..' --since 15m -f

The token needs the scope logs:read. It is read from LOGKEEP_TOKEN or from a file.
"""
EXITS: Final = """\
exit status: 0 there are such lines; 1 there are none; 2 the command is wrong, the service does not answer, or some of
the text is lost, which is said
"""


def add_options(logs: argparse.ArgumentParser) -> None:
    """The options of the command, but for those that say where the service is."""
    add = logs.add_argument
    add("log", metavar="ID", help="such as build/RECORD/stage1")
    add("-f", "--follow", action="store_true", help="and then the lines that are appended, until the log is sealed")
    add("--tail", metavar="N", help="the last N lines; with a filter, the last N that fit")
    add("-m", "--limit", metavar="N", help="the first N")
    add("--since", metavar="TIME", help="such as 15m, 2h, 7d, 2026-11-28T08:00:00Z, or epoch milliseconds")
    add("--until", metavar="TIME", help="the same; the end is not included")
    add("--lines", metavar="A-B", help="by number, the first line being 1; also A and A-")
    add("--level", metavar="LEVEL", help="records of this level and worse: DEBUG, INFO, WARN, ERROR")
    add("--grep", metavar="PATTERN", help="lines with this expression (RE2)")
    add("-F", "--fixed", action="store_true", help="the pattern is a text")
    add("-i", "--ignore-case", action="store_true")
    add("-v", "--invert", action="store_true", help="lines without it")
    add("-A", "--after", metavar="N", help="and N lines after each")
    add("-B", "--before", metavar="N", help="and N lines before each")
    add("-C", "--context", metavar="N", help="both")
    add("-c", "--count", action="store_true", help="only how many")
    add("-o", "--output", choices=("raw", "json"), default="raw", help="json: one JSON object a line")
    add("--timestamps", action="store_true", help="before each line, its time or that of the record that it is part of")
    add("--color", choices=("auto", "always", "never"), default="auto", help="auto: on a terminal only")


def query_of(arguments: argparse.Namespace, *, colored: bool) -> dict[str, str]:
    """The parameters of a request."""
    given = {name: getattr(arguments, name) for name in _NAMES if getattr(arguments, name) not in {None, False}}
    query = {name: "true" if value is True else str(value) for name, value in given.items()}
    # What a log holds does not reach the terminal as it is: it could move the cursor, or set the window's title.
    return query | ({"ansi": "color"} if colored else {})


class Printer:
    """Prints lines as they come. `printed` says whether there was one that was asked for."""

    def __init__(self, out: BinaryIO, arguments: argparse.Namespace, *, colored: bool) -> None:
        self.printed = False
        self._out = out
        self._as_json = arguments.output == "json"
        self._stamped = arguments.timestamps
        self._colored = colored
        self._around = any((arguments.before, arguments.after, arguments.context))
        self._end: int | None = None  # of what was printed
        self._within = False  # a line of which there is more to come

    def print(self, line: Mapping[str, Any]) -> None:
        if self._as_json:
            self._out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
            self._out.write(b"\n")
        elif "line" in line:
            self._print(line)
        else:
            self._out.write(_bytes_of(line))
        self.printed = self.printed or not line.get("context")
        self._out.flush()

    def _print(self, line: Mapping[str, Any]) -> None:
        number, text = line["line"], _bytes_of(line)
        if self._around and self._end is not None and number > self._end + 1:
            self._out.write(b"--\n")
        self._end = number
        if not self._within and self._stamped:
            self._out.write(_stamp(line.get("time")))
        color = _COLORS.get(line.get("level") or "", b"") if self._colored else b""
        self._out.write(color + text + (_RESET if color else b""))
        self._within = bool(line.get("cut"))
        if not self._within:
            self._out.write(b"\n")


def _bytes_of(line: Mapping[str, Any]) -> bytes:
    return base64.b64decode(line["data"]) if "data" in line else str(line.get("text", "")).encode()


def _stamp(time_ms: int | None) -> bytes:
    if time_ms is None:
        return b"- "
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z ".encode()


def run(
    service: Service,
    arguments: argparse.Namespace,
    say: Callable[[str], None],
    out: BinaryIO | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """The exit status. Raises Refused."""
    out = out or sys.stdout.buffer
    colored = arguments.color == "always" or (arguments.color == "auto" and out.isatty())
    printer = Printer(out, arguments, colored=colored)
    query = query_of(arguments, colored=colored)
    matched, is_whole = 0, True
    for line in _all(service, query, say, sleep):
        if "lost" in line and not line.get("end"):
            say(f"{line['lost']} bytes from byte {line['offset']} on are lost or damaged")
            is_whole = False
        elif line.get("end"):
            matched += line.get("matched") or 0
            if arguments.count and not line["more"]:
                out.write(b"%d\n" % matched)
                out.flush()
            if line.get("state") == "deleted":
                say("the log was deleted")
        elif not arguments.count:
            printer.print(line)
    if not is_whole:
        return FAILED
    return FOUND if printer.printed or matched else NOT_FOUND


def _all(
    service: Service, query: dict[str, str], say: Callable[[str], None], sleep: Callable[[float], None]
) -> Iterator[Mapping[str, Any]]:
    """The lines of all answers that it takes. A broken one is continued where it broke."""
    tries = 0
    left = int(query["limit"]) if query.get("limit", "").isdecimal() else None
    while True:
        try:
            for line in service.lines(query):
                tries = 0
                if left is not None and not line.keys() & {"end", "lost", "cut", "context"}:
                    left -= 1
                if "cursor" in line:
                    query = _continued(query, line["cursor"], left)
                if line.get("end"):
                    # One that has as many as were wanted says that there may be more.
                    is_last = not line["more"] or (left is not None and left <= 0)
                    yield {**line, "more": not is_last}
                    if is_last:
                        return
                    break
                yield line
            else:
                raise Later("the answer broke off")
        except Later as later:
            tries += 1
            if tries >= _TRIES and "follow" not in query:
                raise Refused(f"{later}; tried {tries} times") from later
            if tries == 1:
                say(f"{later}; will try again")
            sleep(max(later.wait, min(_PAUSE_MAX, _PAUSE * 2 ** (tries - 1))))


def _continued(query: Mapping[str, str], cursor: str, left: int | None) -> dict[str, str]:
    """The query for what comes after a cursor, which says where the last lines began."""
    rest = {name: value for name, value in query.items() if name not in {"tail", "limit"}}
    return rest | {"cursor": cursor} | ({} if left is None else {"limit": str(left)})
