"""What public bug reports say other tools read wrong, in lines made like theirs."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from logkeep.logs.levels import DebugFilter, TimeBasis, starts

pytestmark = pytest.mark.unit


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def read(text: bytes, zone: str = "UTC", arrival: str = "2026-06-30T00:00:00Z") -> list[tuple[str | None, int | None]]:
    basis = TimeBasis(ZoneInfo(zone), ms(arrival))
    return [(each.level, each.time) for each in starts(b"\n" + text + b"\n", basis=basis)]


@pytest.mark.parametrize(
    ("line", "level", "time"),
    [
        # grafana/loki#14443: a word of the message counted for more than the field
        (b'{"message":"An error occurred using a transaction.","level":"WARNING","severity":"WARNING"}', "WARN", None),
        # grafana/loki#16611: "error" in the query of a URL
        (b'{"http_referer":"https://g/a?var-levels=detected_level%7C%3D%7Cerror","status":200}', None, None),
        # grafana/loki#17531: no colon after the level
        (
            b"2025-04-29 15:54:44.190 DEBUG --- [   scheduling-1] c.e.inventory.Job : x",
            "DEBUG",
            ms("2025-04-29T15:54:44.190Z"),
        ),
        # grafana/loki#14428: WARN without a colon
        (b"WARN  slow", "WARN", None),
        # grafana/loki#15822: a level in a nested object is not the record's
        (b'{"body":{"message":"foo","level":"debug"},"level":"warn"}', "WARN", None),
        # openchoreo/community-modules#215: error="<nil>" in a line of level info
        (
            b'time="2026-05-05T07:56:21.304Z" level=info msg="sub-process exited" argo=true error="<nil>"',
            "INFO",
            ms("2026-05-05T07:56:21.304Z"),
        ),
        # Dokploy/dokploy#4624: pino's error taken for debug, and "Request completed" for success
        (b'{"level":50,"time":1769846400123,"pid":7,"version":"1.2","method":"GET"}', "ERROR", 1769846400123),
        (b'{"level":"info","msg":"Request completed with error: none"}', "INFO", None),
        # fluent/fluent-bit#7821: a field and five blanks before the level
        (
            b"2023-08-11 07:01:57.533+0000 [id=66216]     WARNING o.j.p.ExecutorStep: do not know",
            "WARN",
            ms("2023-08-11T07:01:57.533Z"),
        ),
        # elastic/beats#16363: year, name of the month, a colon before the milliseconds, a zone in two words
        (
            b"2020 Feb 11 06:56:30:554 GMT -0500 DEBUG [LogPool$0] com.zu.Logging - x",
            "DEBUG",
            ms("2020-02-11T11:56:30.554Z"),
        ),
        # elastic/beats#7367: a priority before a date of ISO
        (
            b"<190>2018-06-19 02:13:38 Local7.Info HOST 2018-06-19T02:13:38.635322-07:00 HOST Acl: x",
            "INFO",
            ms("2018-06-19T02:13:38Z"),
        ),
        # tstack/lnav#1276: a zone by name, no milliseconds
        (
            b"2024-06-25 14:56:15 UTC temboardui[869] DEBUG:  taskmanager: Job x terminated.",
            "DEBUG",
            ms("2024-06-25T14:56:15Z"),
        ),
        # tstack/lnav#1367: a colon in the zone
        (b"2025-01-14T08:00:00.123-05:00  WARN 1 --- [main] c.e.App : x", "WARN", ms("2025-01-14T13:00:00.123Z")),
    ],
)
def test_level_and_time_are_those_that_the_line_declares(line: bytes, level: str | None, time: int | None) -> None:
    assert read(line) == [(level, time)]


@pytest.mark.parametrize(
    ("line", "arrival", "zone", "time"),
    [
        # rsyslog/rsyslog#4765: a moment around new year, late or early by a second
        (b"Dec 31 23:59:59 sw1 a: x", "2022-01-01T00:00:01Z", "UTC", "2021-12-31T23:59:59Z"),
        (b"Jan  1 00:00:00 sw1 a: x", "2021-12-31T23:59:59Z", "UTC", "2022-01-01T00:00:00Z"),
        # graylog-labs/syslog4j-graylog2#52: the year is decided in the zone of the log
        (b"Dec 31 20:00:00 sw1 a: x", "2025-01-01T01:00:05Z", "America/New_York", "2025-01-01T01:00:00Z"),
        # Textualize/toolong#12, grafana/loki#760: no year is not 1900, nor 0
        (b"Feb 11 20:44:26 mac app[1574]: x", "2024-02-12T00:00:00Z", "UTC", "2024-02-11T20:44:26Z"),
        # log2timeline/plaso#1142: 29 February, received in a year that has none
        (b"Feb 29 01:15:43 host app: x", "2013-05-01T00:00:00Z", "UTC", "2012-02-29T01:15:43Z"),
    ],
)
def test_the_year_that_is_not_written_is_that_of_the_arrival(line: bytes, arrival: str, zone: str, time: str) -> None:
    assert [each[1] for each in read(line, zone, arrival)] == [ms(time)]


def test_a_trace_in_containers_goes_with_its_record() -> None:
    # open-telemetry/opentelemetry-helm-charts#809
    text = (
        b"2023-06-08T12:29:28.100000000Z stderr F [DEBUG] dump\n"
        b"2023-06-08T12:29:28.123760947Z stderr F goroutine 17 [finalizer wait]:\n"
        b"2023-06-08T12:29:28.123786030Z stderr F runtime.gopark(0x40000345a8?, 0x600000000224a8?)\n"
        b"2023-06-08T12:29:28.123805571Z stderr F         /usr/local/go/src/runtime/proc.go:381 +0xe0\n"
        b"2023-06-08T12:29:28.123824237Z stderr F runtime.runfinq()\n"
    )
    assert DebugFilter().feed(text) == b""


def test_the_lines_of_a_message_that_do_not_plainly_continue_it_are_shown() -> None:
    # fluent/fluent-bit#4608 and open-telemetry/opentelemetry-collector-contrib#2655
    text = b"[2016-05-25 12:39:04,744][DEBUG][action.bulk  ] [Set] failed\n"
    text += b"MapperParsingException[Field name]\n    at a.B(C)\n"
    assert DebugFilter().feed(text) == b""
    assert DebugFilter().feed(b"[DEBUG] Failed; SQL statement:\nfailing10 [42001-197]\n") == b"failing10 [42001-197]\n"


def test_a_level_in_its_own_colour_is_seen_and_carriage_returns_hide_nothing() -> None:
    # grafana/loki#8497 (colours), and progress bars of pip and docker
    assert read(b"\x1b[90m8:00AM\x1b[0m \x1b[31mERR\x1b[0m lost") == [("ERROR", None)]
    assert read(b"  0%\r 50%\r100%\rERROR: lost\r") == [("ERROR", None)]
