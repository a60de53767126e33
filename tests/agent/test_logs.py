"""`logkeep logs`, compared byte for byte with grep, tail, sed and awk on the original text."""

import argparse
import io
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from local import ROOT
from logkeep_agent import Refused
from logkeep_agent.logs import Reading, add_arguments
from tests.agent.test_command import environment_of
from tests.local.service import Service

LOG = "app/compared/original"
LINES = 20_000
# Our arguments, and a shell's command that answers the same of the file $F.
QUERIES = [
    (["--grep", "ERROR"], "grep ERROR $F"),
    (["--grep", "error", "-i"], "grep -i error $F"),
    (["--grep", "INFO", "-v"], "grep -v INFO $F"),
    (["--grep", "f(x", "-F"], "grep -F 'f(x' $F"),
    (["--grep", "took [0-9]{3,} ms"], "grep -E 'took [0-9]{3,} ms' $F"),
    (["--grep", "(refused|timeout)$"], "grep -E '(refused|timeout)$' $F"),
    (["--grep", "^$"], "grep '^$' $F"),
    (["--grep", "日志"], "grep 日志 $F"),
    (["--grep", "refused", "-A", "2"], "grep -A 2 refused $F"),
    (["--grep", "refused", "-B", "3"], "grep -B 3 refused $F"),
    (["--grep", "refused", "-C", "1"], "grep -C 1 refused $F"),
    (["--grep", "info", "-v", "-i", "-C", "2"], "grep -v -i -C 2 info $F"),
    (["--grep", "WARN", "-c"], "grep -c WARN $F"),
    (["--grep", "refused", "--tail", "5"], "grep refused $F | tail -n 5"),
    (["--tail", "100"], "tail -n 100 $F"),
    (["--tail", "1"], "tail -n 1 $F"),
    (["--lines", "1000-1100"], "sed -n 1000,1100p $F"),
    (["--lines", "19990-"], "sed -n '19990,$p' $F"),
    (["--lines", "7"], "sed -n 7p $F"),
    (["--lines", "500-900", "--grep", "WARN", "-C", "1"], "sed -n 500,900p $F | grep -C 1 WARN"),
    (["--since", "2026-11-22T01:00:00Z", "--until", "2026-11-22T01:05:00Z", "--grep", "T"],
     "awk '/^2026/ { t = substr($0, 1, 19) } t >= \"2026-11-22T01:00:00\" && t < \"2026-11-22T01:05:00\" && /T/' $F"),
    (["--level", "error"], "awk '/^2026/ { l = $2 } l == \"ERROR\"' $F"),
    (["--level", "warn", "--grep", "took"], "awk '/^2026/ { l = $2 } (l == \"ERROR\" || l == \"WARN\") && /took/' $F"),
    ([], "cat $F"),
]  # fmt: skip


def original() -> bytes:
    chance, lines = random.Random(5), list[str]()
    ends = ("connection refused", "日志 f(x)", "timeout", "took 7 ms", "took 1234 ms", "done")
    for number in range(LINES):
        if lines and chance.random() < 0.03:
            lines.append(chance.choice(("", "\tat a.b(C.java:1)", "  more of it, INFO")))
            continue
        level = chance.choices(("INFO", "WARN", "ERROR"), (90, 8, 2))[0]
        time = f"2026-11-22T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        lines.append(f"{time} {level} {chance.choice(ends)}")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def file(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, text = tmp_path_factory.mktemp("original") / "original.log", original()
    path.write_bytes(text)
    with service.client() as client:
        for begin in range(0, len(text), 300_000):
            sent = client.patch(
                f"/v1/{service.demo['project_id']}/logs/{LOG}",
                params={"offset": begin},
                content=text[begin : begin + 300_000],
                headers={"Content-Type": "application/octet-stream"},
            )
            sent.raise_for_status()
    return path


def logs(service: Service, *arguments: str) -> tuple[int, bytes]:
    parser, out = argparse.ArgumentParser(), io.BytesIO()
    add_arguments(parser)
    parsed = parser.parse_args([LOG, *arguments])
    parsed.endpoint, parsed.project = service.demo["endpoint"], service.demo["project_id"]
    return Reading(parsed, lambda: service.demo["token"], out).run(), out.getvalue()


def test_the_answers_are_those_of_the_tools(service: Service, file: Path) -> None:
    for arguments, command in QUERIES:
        expected = subprocess.run(  # noqa: S602 - our own commands
            command.replace("$F", str(file)),
            shell=True,
            capture_output=True,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        status, answer = logs(service, *arguments)
        # The tools end every line with a newline, also a last one that has none.
        ours = answer if answer.endswith(b"\n") or not expected.stdout.endswith(b"\n") else answer + b"\n"
        assert ours == expected.stdout, (arguments, command)
        assert len(answer) > 0, arguments
        assert status == 0
    assert logs(service, "--grep", "there is none") == (1, b"")
    assert logs(service, "--grep", "there is none", "-c") == (1, b"0\n")


def test_json_and_timestamps_and_a_bad_pattern(service: Service, file: Path) -> None:
    lines = [json.loads(line) for line in logs(service, "--lines", "1-2", "-o", "json")[1].splitlines()]
    assert [each["line"] for each in lines] == [1, 2]
    stamped = logs(service, "--lines", "1", "--timestamps")[1]
    assert stamped == b"2026-11-22T00:00:00.000Z " + file.read_bytes().split(b"\n")[0] + b"\n"
    with pytest.raises(Refused, match="grep"):
        logs(service, "--grep", "(")


def test_the_command_has_the_exit_status_of_grep(service: Service, file: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603 - our own script
            [ROOT / "logkeep", "logs", *arguments], env=environment_of(service), capture_output=True, timeout=60
        )

    found = run(LOG, "--tail", "2")
    assert (found.returncode, found.stdout) == (0, b"\n".join(file.read_bytes().split(b"\n")[-2:]))
    assert run(LOG, "--grep", "there is none").returncode == 1
    absent = run("app/none", "--tail", "2")
    assert absent.returncode == 2
    assert b"no log app/none" in absent.stderr


def test_the_tools_are_there() -> None:
    assert all(map(shutil.which, ("grep", "tail", "sed", "awk")))
