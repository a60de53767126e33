"""README and docs/ do what they say: every command in them runs, every link leads somewhere, the diagram is true.

A page's `sh` blocks run in one shell, in order, as a reader pastes them; each `python` block runs by itself.
"""

import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from local import ROOT
from local.__main__ import EMULATOR_PORT, PORT
from local.template import Template
from tests.calls import a_build
from tests.local.service import Service, running

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

# What a page's commands print, in order. Pages that one reader pastes into one shell are one session.
SESSIONS: dict[tuple[str, ...], list[str]] = {
    ("README.md",): [
        '{"status":{"message":"success"},"log":',
        '"service_name":"zcjtest-07085","count":2,"total_count":168',
        "Apache Maven 3.9.9",
        '"totalSize":26,"marker":',
        "manifest.json",
        "a777ff00d3cf4d369d87066806ae0003/checkstyle.log",
        '"state":"open","bytes":71,"lines":2,"crc32":"fde91451"',
        '"missing":null} 202',
        '"missing":null} 200',
        '"state":"sealed","bytes":71',
        "same",
        "2026-11-22 08:00:01 ERROR no space left",
        "2026-11-22 08:00:01 ERROR no space left",
    ],
    ("docs/write-a-log.md",): ['"bytes":31', '"bytes":60', '"bytes":60', '"state":"sealed"', '"logs":[{"log_id"'],
    ("docs/retention.md",): [
        '"log_id":"app/person/1"',
        '"deletions":[{"log_id":"app/person/1"',
        '"state":"counted"',
        '"state":"deleting"',
        '"state":"',
        '"hold":true',
        '"hold":false',
        '"prefixes":{"app/sample":null}',
    ],
    ("docs/ship-a-file.md",): ["same"],
    ("docs/follow.md",): ['"offset":0,"text":', '"end":true,"more":false,"state":"sealed"'],
    ("docs/read.md",): [
        "08:00:58Z INFO request",
        "08:00:59Z INFO request",
        "08:00:02Z INFO request",
        "08:00:03Z INFO request",
        "08:00:29Z INFO request",
        "ERROR connection refused",
        "at web.Client.call",
        "ERROR connection refused",
        "at web.Client.call",
        "59",
        "logkeep-matched: 2",
        '"line":31,"time":1795334430000,"level":"ERROR"',
        '"end":true',
        '"records":{"INFO":59,"ERROR":1}',
        '"errors":[{"line":31,',
        "2026-11-22T08:00:00Z",
        "content-length: ",
        "ERROR connection refused",
        "at web.Client.call",
        "2026-11-22T08:00:59.000Z 2026-11-22T08:00:59Z INFO request",
        '"level":"ERROR"',
        '"level":"ERROR"',
    ],
    ("docs/files.md",): ["Apache Maven"] * 3,
    ("docs/events.md",): ['{"accepted":1,"duplicates":0}', '"event_info":"deployed"'],
    ("docs/search.md",): ["line 999", "line 998", "line 997"],
    ("docs/backups.md", "docs/restore-by-hand.md"): [
        '"bytes":',
        '"logSwitch":true',
        '"status":"SUCCESS"',
        "node-1/instance/0000000000000000-",
        '"mode":"full"',
        '"new":1',
        "same",
    ],
    ("docs/credentials-and-limits.md",): [
        "reports",
        "is disabled",
        "is enabled",
        "is deleted",
        *['{"logs":[{"log_id"'] * 3,
        "PROJECT",
    ],
    ("docs/clients.md",): [],  # variables, which its programs read
    ("docs/formats.md",): ["INFO line 30000"],
    ("docs/operations.md",): ["followers: Lambda", "CloudWatch Logs"],
}
# Files that a session leaves in its reader's folder, each the same as another.
MADE: dict[tuple[str, ...], dict[str, str]] = {
    ("docs/backups.md", "docs/restore-by-hand.md"): {"instance.log": "node.log"}
}
# What a page's programs print, behind its commands.
PROGRAMS = {
    "docs/clients.md": [
        "clusterLogRecord",
        "Apache Maven",
        "checkstyle.log WARN",
        "normal",
        '"message":"success"',
        "26",
    ],
    "docs/follow.md": ["Apache Maven"],
    "docs/formats.md": ["task/example/0/main/0 open", "168 events"],
}
# Blocks that run nowhere here, by their first line, with the reason.
NOT_RUN = {
    ("README.md", "make run     # the whole service on http://127.0.0.1:8787, with sample data, until Ctrl-C"): (
        "`make run` is what this module's service is; `make test` runs this module"
    ),
    (
        "CONTRIBUTING.md",
        "make quick                             # while you write: ruff, mypy and the tests that need no other process",
    ): ("they run the suite, and so this module"),
    ("docs/deploy.md", "make deploy      # ARCH=x86_64 for the other processor"): "needs an AWS account",
    (
        "docs/deploy.md",
        'make deploy PARAMETERS="AlertEmail=you@example.com BackupLockDays=30"',
    ): "needs an AWS account; tests/packaging/test_deploy.py shows that the parameters arrive",
    ("docs/deploy.md", "./logkeep-admin create access-key --project my-project"): "needs an AWS account",
    (
        "docs/operations.md",
        "./logkeep-admin rebuild --stack logkeep-2",
    ): "needs a stack on AWS; tests/logs/test_rebuild.py and tests/admin/test_command.py show it",
    ("docs/operations.md", "./logkeep-admin kept"): "needs an AWS account; tests/admin/test_kept.py shows it",
    ("docs/operations.md", "./logkeep-admin adopt"): "needs an AWS account; tests/admin/test_kept.py shows it",
    (
        "docs/operations.md",
        "aws dynamodb restore-table-to-point-in-time --source-table-name OLD --target-table-name restored-logs \\",
    ): "needs an AWS account; tests/admin/test_kept.py shows it",
    ("docs/sam-local.md", "make run                                         # in another terminal"): "needs Docker",
    ("docs/sam-local.md", "socat TCP-LISTEN:4566,bind=172.17.0.1,fork,reuseaddr TCP:127.0.0.1:4566"): "needs Docker",
}


# `./logkeep-admin` in a session: one process for all its commands, since to start takes it longer than to work. That
# the script itself starts is shown by tests/admin.
_ADMIN = """\
import sys
from admin.__main__ import main
for line in sys.stdin:
    sys.argv[1:], status = line.split(), 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code or 0
    print("ended", status, flush=True)
"""
_ADMIN_SHELL = """\
coproc ADMIN { cd "$ROOT" && exec "$PYTHON" -c "$ADMIN_PROGRAM"; }
exec 8<&"${ADMIN[0]}" 9>&"${ADMIN[1]}"
logkeep_admin() {
  echo "$*" >&9
  while read -r line <&8 && [ "${line%% *}" != ended ]; do echo "$line"; done
  [ "$line" = "ended 0" ]
}
"""


@dataclass(frozen=True)
class Block:
    page: str  # its path in the repository
    language: str
    text: str

    @property
    def first_line(self) -> str:
        return self.text.partition("\n")[0]

    @property
    def is_run(self) -> bool:
        return (self.page, self.first_line) not in NOT_RUN


@functools.cache
def blocks(page: str) -> tuple[Block, ...]:
    return tuple(Block(page, *found) for found in _BLOCK.findall((ROOT / page).read_text()))


def commands(*pages: str) -> list[str]:
    return [each.text for page in pages for each in blocks(page) if each.language == "sh" and each.is_run]


def programs(page: str) -> list[str]:
    return [each.text for each in blocks(page) if each.language == "python" and each.is_run]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as started:
        yield started


def environment(service: Service) -> dict[str, str]:
    return service.environment | {"no_proxy": "127.0.0.1"}


def here(text: str, service: Service) -> str:
    """A page's commands for this service, whose ports are its own, and for this folder."""
    text = text.replace(f"http://127.0.0.1:{PORT + 1}", service.demo["streams"])
    for port, own in ((PORT, service.port), (EMULATOR_PORT, service.emulator_port)):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
    text = text.replace("./logkeep-admin", "logkeep_admin").replace("./logkeep", f"{ROOT}/logkeep")
    return re.sub(r"^make ", f"make -C {ROOT} ", text, flags=re.MULTILINE)


def paste(session: str, service: Service, folder: Path) -> str:
    """What a page's commands print in a shell in this folder; they must succeed."""
    (folder / "my.log").write_text("2026-11-22 08:00:00 INFO of a file\n")
    session = here(session, service).replace("/path/to/my.log", f"{folder}/my.log")
    if "logkeep_admin" in session:
        session = _ADMIN_SHELL + session
    helpers = {"ROOT": str(ROOT), "PYTHON": sys.executable, "ADMIN_PROGRAM": _ADMIN, "TMPDIR": str(folder)}
    ran = subprocess.run(  # noqa: S603 - our own page
        ["bash", "-eu", "-c", session],  # noqa: S607 - of the machine
        cwd=folder,
        env=environment(service) | helpers,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def run_program(text: str, service: Service, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own page
        [sys.executable, "-c", here(text, service)],
        env=environment(service) | more,
        capture_output=True,
        text=True,
        timeout=60,
    )


def exports(page: str) -> dict[str, str]:
    """The variables that a page has its reader set."""
    lines = [line for each in commands(page) for line in each.splitlines() if line.startswith("export ")]
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(lines)))


# The pages hold together


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_of_a_page_is_run_or_is_listed_with_a_reason(page: str) -> None:
    in_sessions = {each for pages in SESSIONS for each in pages}
    for block in blocks(page):
        assert block.language in {"sh", "python", "json", "hcl", "mermaid"}, block.first_line
        if block.language == "sh" and block.is_run:
            assert page in in_sessions, f"{page} has a command that nothing runs: {block.first_line}"
        if block.language == "python" and block.is_run:
            assert page in PROGRAMS, f"{page} has a program that nothing runs: {block.first_line}"


def test_what_is_not_run_is_still_in_a_page() -> None:
    there = {(each.page, each.first_line) for page in PAGES for each in blocks(str(page.relative_to(ROOT)))}
    assert there >= NOT_RUN.keys()


def test_readme_is_at_most_150_lines_and_begins_with_the_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert [each.language for each in blocks("README.md")] == ["sh", "sh", "sh"]
    assert any(line.startswith("make run ") for line in lines[:20])


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    text = _BLOCK.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(_BLOCK.sub("", page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {str(page.relative_to(ROOT)) for page in PAGES if page.parent.name == "docs"}


# The commands run


@pytest.mark.parametrize("pages", SESSIONS, ids=lambda pages: pages[0])
def test_the_commands_of_a_page_can_be_pasted(pages: tuple[str, ...], service: Service, tmp_path: Path) -> None:
    printed = paste("\n".join(commands(*pages)), service, tmp_path)
    rest = printed
    for expected in SESSIONS[pages]:
        _, found, rest = rest.partition(expected)
        assert found, f"{expected} is missing in {printed}"
    for made, original in MADE.get(pages, {}).items():
        assert (tmp_path / made).read_bytes() == (tmp_path / original).read_bytes()


@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page in PROGRAMS for number in range(len(programs(page)))]
)
def test_the_program_of_a_page_prints_what_the_service_holds(
    page: str, number: int, service: Service, tmp_path: Path
) -> None:
    assert len(programs(page)) == len(PROGRAMS[page])
    paste("\n".join(commands(page)), service, tmp_path)
    variables = {name: here(value, service) for name, value in exports(page).items()}
    ran = run_program(programs(page)[number], service, **variables)
    assert ran.returncode == 0, ran.stderr
    assert PROGRAMS[page][number] in ran.stdout


def test_there_is_a_program_for_every_api() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    named = re.findall(r"^\*\*(\w[\w ]*)\*\*.*?^```python$", page, re.MULTILINE | re.DOTALL)
    assert named == ["CSS", "CodeArts Build", "CodeArts Check", "ModelArts", "Kuscia"]


def test_the_program_that_follows_prints_the_log(service: Service) -> None:
    (program,) = programs("docs/follow.md")
    ran = run_program(program, service)
    assert ran.returncode == 0, ran.stderr
    with service.client() as client:
        url = f"/v1/{service.demo['project_id']}/logs/build/{service.demo['record_id']}/stage1"
        assert ran.stdout == client.get(url).text


def test_the_program_that_follows_shows_a_line_at_once(service: Service) -> None:
    log_id = a_build("shown-at-once")
    with service.client() as client:
        url = f"/v1/{service.demo['project_id']}/logs/{log_id}"
        client.patch(url, content=b"a line\n", headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    (program,) = programs("docs/follow.md")
    program = here(program, service).replace(f"build/{service.demo['record_id']}/stage1", log_id)
    buffered = {name: value for name, value in environment(service).items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(  # noqa: S603 - our own page
        [sys.executable, "-c", program], env=buffered, stdout=subprocess.PIPE
    ) as running_on:
        assert running_on.stdout
        too_late = threading.Timer(20, running_on.kill)
        too_late.start()
        assert running_on.stdout.readline() == b"a line\n"
        too_late.cancel()
        running_on.kill()


# The diagram of the architecture

TEMPLATE = Template.load()
_STORES = (
    "DynamoDB::Table",
    "S3::Bucket",
    "Serverless::Function",
    "SQS::Queue",
    "SNS::Topic",
    "KMS::Key",
    "SecretsManager::Secret",
)


def drawn() -> tuple[dict[str, str], dict[str, set[str]]]:
    """The nodes of the diagram by id, and what each points to; an arrow from a group is one from all its nodes."""
    (diagram,) = [each.text for each in blocks("docs/architecture.md") if each.language == "mermaid"]
    nodes: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    arrows: dict[str, set[str]] = {}
    group = ""
    for line in map(str.strip, diagram.splitlines()):
        if found := re.match(r"subgraph (\w+)", line):
            group = found[1]
        elif line == "end":
            group = ""
        elif "-->" in line:
            ends = [[each.strip() for each in part.split("&")] for part in line.split("-->")]
            for sources, targets in pairwise(ends):
                for source in sources:
                    for each in groups.get(source, [source]):
                        arrows.setdefault(each, set()).update(targets)
        elif found := re.match(r"(\w+)(\W.*)", line):
            nodes[found[1]] = found[2]
            groups.setdefault(group, []).append(found[1])
        else:
            assert re.fullmatch(r"[\w ]*", line) or "-." in line, line
    return nodes, arrows


def named(word: str, nodes: dict[str, str]) -> list[str]:
    return [node for node, label in nodes.items() if re.search(rf"\b{word}\b", label)]


def reached(function: str) -> Iterator[str]:
    """The logical ids of the stores and workers that a function's role lets it use."""
    role = TEMPLATE.resources("AWS::Serverless::Function")[function]["Role"]["Fn::GetAtt"][0]
    stores = {name for kind in _STORES for name in TEMPLATE.resources(f"AWS::{kind}")}
    policies = TEMPLATE.resources("AWS::IAM::Role")[role]["Policies"]
    for statement in (each for policy in policies for each in policy["PolicyDocument"]["Statement"]):
        for name in re.findall(r"\w+", str(statement["Resource"])):
            if name in stores:
                yield name


def test_the_diagram_shows_each_function_once() -> None:
    nodes, _ = drawn()
    words = re.findall(r"\w+", " ".join(label.replace("<br>", " ") for label in nodes.values()))
    assert {name: words.count(name) for name in TEMPLATE.functions} == dict.fromkeys(TEMPLATE.functions, 1)


def test_the_arrows_of_the_diagram_are_what_the_roles_allow() -> None:
    nodes, arrows = drawn()
    allowed: dict[str, set[str]] = {}
    for function in TEMPLATE.functions:
        (node,) = named(function, nodes)
        allowed.setdefault(node, set()).update(target for name in reached(function) for target in named(name, nodes))
    assert {node: arrows[node] for node in allowed} == allowed


def test_the_folder_of_the_repository_is_clean_of_what_the_pages_write() -> None:
    """Their sessions run in a folder of their own."""
    assert not {"my.log", "check-logs.zip", "backup.zip", "logs"} & {each.name for each in os.scandir(ROOT)}
