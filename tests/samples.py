"""Texts for the tests, cut anywhere, and what a reader without any cleverness makes of them."""

import itertools
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from logkeep.logs.levels import LINE_PREFIX, starts

# First lines of records as programs write them, and their level.
RECORDS: dict[bytes, str | None] = {
    b"2026-01-31T08:00:00.123Z DEBUG starting": "DEBUG",
    b"2026-01-31T08:00:00.123456789+08:00 INFO starting": "INFO",
    b"2026-01-31 08:00:00,123 [main] DEBUG c.e.Main - starting": "DEBUG",
    b"2026-01-31 08:00:00,123 [pool-1-thread-2] WARN  c.e.Main - slow": "WARN",
    b"2026-01-31 08:00:00,123 - app.db - DEBUG - select 1": "DEBUG",
    b"2026-01-31 08:00:00,123 - app.db - ERROR - no connection": "ERROR",
    b"2026-01-31 08:00:00 DEBUG:app:message": "DEBUG",
    b"[2026/01/31 08:00:00] [TRACE] x": "DEBUG",
    b"2026-01-31T08:00:00.5Z stderr F DEBUG from a container": None,
    b"2026-01-31T08:00:00.5Z stdout F 2026 is not a level": None,
    b"2026-01-31 08:00:00 | NOTICE | x": "INFO",
    b"2026-01-31 08:00:00 job started": None,
    b"2026-01-31 08:00:00.000 12345 DEBUG nova.compute [req-1] x": "DEBUG",
    b"2026-01-31 08:00:00.000 [main] 12345 INFO x": "INFO",
    b"2026-01-31 08:00:00 Enabling DEBUG mode": None,
    b"2026-01-31 08:00:00 [main] Enabling DEBUG mode": None,
    b"2026-01-31 08:00:00 worker-1 DEBUG x": None,
    b"2026-01-31 08:00:00 DEBUGGING is fun": None,
    b"2026-01-31 08:00:00": None,
    b"08:00:00.123 [main] x": None,
    b"08:00:00.123 DEBUG x": "DEBUG",
    b"08:00:00.123 [main] DEBUG c.e.Main -- starting": "DEBUG",
    b"08:00:00,123 - app.db - WARNING - slow": "WARN",
    b"[08:00:00] [main] [debug] x": "DEBUG",
    b"08:00:00 12345 INFO x": "INFO",
    b"08:00:00 Enabling DEBUG mode": None,
    b"08:00:00": None,
    b"DEBUG:root:message": "DEBUG",
    b"ERROR: it broke": "ERROR",
    b"[DEBUG] Configuring mojo": "DEBUG",
    b"[INFO] BUILD SUCCESS": "INFO",
    b"[WARNING] deprecated": "WARN",
    b"[ERROR ] padded": "ERROR",
    b"[debug] in brackets even a small one is a level": "DEBUG",
    b"2026-01-31 08:00:00 [Warn ] x": "WARN",
    b"[2026-01-31 08:00:00][main][DEBUG] x": "DEBUG",
    b"<FATAL> out of memory": "ERROR",
    b"SEVERE - x": "ERROR",
    b"2026-01-31 08:00:00 \x1b[32m INFO\x1b[0;39m x": "INFO",
    b"\x1b[2m2026-01-31 08:00:00.123\x1b[0;39m \x1b[32mDEBUG\x1b[0;39m \x1b[35m1\x1b[0;39m x": "DEBUG",
    b"\x1b[2m2026-01-31 08:00:00\x1b[0m x": None,
    b"2026-01-31 08:00:00 [main] \x1b[1;31mERROR\x1b[m x": "ERROR",
    b"08:00:00.123 [main] \x1b[39mDEBUG\x1b[0;39m x": "DEBUG",
    b"\x1b[36mDEBUG\x1b[0m x": "DEBUG",
    b"\x1b[36m DEBUG\x1b[0m x": "DEBUG",
    b"\x1b[33m[WARN ]\x1b[0m x": "WARN",
    b"[\x1b[1;34mINFO\x1b[m] BUILD SUCCESS": "INFO",
    b"[\x1b[36mdebug\x1b[0m] x": "DEBUG",
    b"2026-01-31 08:00:00 [\x1b[36mdebug\x1b[0m] x": "DEBUG",
    b"\x1b[1m\x1b[31mERROR\x1b[0m x": "ERROR",
    b"\x1b[36m": "continuation",
    b"\x1b[36mcoloured text": None,
    b"\x1b[2K DEBUG behind another control sequence": "continuation",
    b'{"ts": 1, "level": "debug", "msg": "x"}': "DEBUG",
    b'{"severity":"WARNING","message":"x"}': "WARN",
    b'{"message":"x","lvl":"err"}': "ERROR",
    b'{"message":"no level"}': None,
    b'{"level":"verbose"}': "DEBUG",
    b"level=debug msg=x": "DEBUG",
    b'time="2026-01-31T08:00:00Z" level=info msg=x': "INFO",
    b"ts=1 caller=main.go:1 level=warn msg=x": "WARN",
    b"DEBUGGING is fun": None,
    b"debug: in lower case, as people write": None,
    b"the DEBUG word later in a line": None,
    b" DEBUG behind a blank": "continuation",
    b"\tat com.example.Main.run(Main.java:42)": "continuation",
    b"Caused by: java.lang.Error": "continuation",
    b"": "continuation",
    b"\xff\xfe not UTF-8": None,
    "日志".encode(): None,
}


_rests = st.one_of(
    st.just(b""),
    st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")),
    st.integers(200, 600).map(lambda size: b"x" * size),
)
_lines = st.one_of(
    st.sampled_from(
        [
            b"",
            b"java.net.ConnectException: refused",
            b"a.b.Error",
            b"a.b.Errors: no",
            b"Error: no",
            b"Caused by: java.io.IOException: reset",
            b"Suppressed: a.B",
            b"\tat a.B.c(B.java:1)",
            b"Traceback (most recent call last):",
            b"npm ERR! code 1",
            b"x" * 190 + b".Error: x",
            b"a." + b"x" * 300 + b"Error: x",
        ]
    ),
    st.builds(lambda first, rest: first + b" " + rest, st.sampled_from(list(RECORDS)), _rests),
    st.sampled_from(list(RECORDS)),
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")),
    # a level near the byte behind which nothing decides any more
    st.builds(lambda size: b'{"a":"' + b"x" * size + b'","level":"debug"}', st.integers(150, LINE_PREFIX + 10)),
)
log_texts = st.builds(
    lambda lines, last: b"".join(line + b"\n" for line in lines) + last,
    st.lists(_lines, max_size=25),
    st.one_of(st.just(b""), _lines),
)
"""Logs with records of every format, and a last line that may lack its newline."""

any_bytes = st.one_of(log_texts, st.binary(max_size=400))


def cuts_of(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    """Texts in pieces, of which some are empty and some a single byte."""
    return texts.flatmap(
        lambda text: st.lists(st.integers(0, len(text)), max_size=8).map(lambda points: cut(text, points))
    )


def cut(text: bytes, points: Iterable[int]) -> list[bytes]:
    return [text[start:end] for start, end in itertools.pairwise([0, *sorted(points), len(text)])]


def lines_of(text: bytes) -> list[bytes]:
    """Lines with their newlines; the last may have none."""
    *whole, last = text.split(b"\n")
    return [line + b"\n" for line in whole] + ([last] if last else [])


def level_of(line: bytes) -> str | None:
    """The level of the record that a line begins; "continuation" where it begins none."""
    found = list(starts(b"\n" + line[:LINE_PREFIX].removesuffix(b"\n") + b"\n"))
    return found[0].level if found else "continuation"


def without_debug(text: bytes) -> bytes:
    """A text without its DEBUG records, a line at a time."""
    kept, dropping = [], False
    for line in lines_of(text):
        found = level_of(line)
        dropping = dropping if found == "continuation" else found == "DEBUG"
        if not dropping:
            kept.append(line)
    return b"".join(kept)


def counts_of(lines: Sequence[bytes]) -> dict[str, int]:
    """How many records of each level the lines begin."""
    levels = [level_of(line) for line in lines]
    return {level: levels.count(level) for level in ("DEBUG", "INFO", "WARN", "ERROR") if level in levels}
