"""Ships growing files to Logkeep, and reads its logs."""

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

try:
    import fcntl as _  # noqa: F401 - only Unix has it
except ImportError:
    sys.exit("logkeep: the agent needs Linux, macOS or another Unix; on Windows, run it in WSL")

from logkeep_agent import Refused
from logkeep_agent.files import PACKED
from logkeep_agent.logs import DESCRIPTION, EXITS, add_arguments, print_log
from logkeep_agent.patterns import daily, files_of, is_pattern, log_id_of, state_of
from logkeep_agent.pipe import Pump
from logkeep_agent.service import Later, Service, check_endpoint
from logkeep_agent.ship import Options, Shipper
from logkeep_agent.state import locked
from logkeep_agent.zone import machine_time_zone

_USAGE: Final = 2
_NOT_ALL_SENT: Final = 3
_SCAN: Final = 1.0  # seconds between two looks for new files of a pattern
_AHEAD: Final = 64_000_000  # bytes that are read ahead, of all files together
_AHEAD_MIN: Final = 250_000
_SHIP: Final = """\
Sends PATH to a log as it grows. When stopped (SIGTERM, Ctrl-C), it sends what is there and ends. When started again, it
continues where the log ends, however it was ended. It follows rotation by rename and by truncation, and links that
move.

PATH may be a pattern in quotes, such as 'logs/*.log', or several paths. Then every file has a log of its own, and ID
has {name} (app.log), {stem} (app) or {1} (what the first * stands for) in it. PATH may be - for standard input.

The token needs the scope logs:write. It is read from LOGKEEP_TOKEN or from a file, never from the command line, which
others can see.
"""
_EXITS: Final = """\
exit status: 0 everything was sent; 1 it cannot continue, and says why; 2 the command is wrong; 3 the service did not
answer, or refused the token of a file, before the agent had to end: run it again to send the rest
"""


def main() -> None:
    environment = os.environ
    arguments = _parser(environment).parse_args()
    missing = [name for name in ("endpoint", "project") if not getattr(arguments, name)]
    if missing:
        _say(f"the service is not known; set {' and '.join(f'--{name} or LOGKEEP_{name.upper()}' for name in missing)}")
        sys.exit(_USAGE)
    if arguments.command == "logs":
        try:
            check_endpoint(arguments.endpoint)
            sys.exit(print_log(arguments, _token_of(arguments.token_file, environment)))
        except (Refused, OSError) as error:
            _say(str(error))
            sys.exit(_USAGE)
    if "{date}" in arguments.log and not arguments.daily:
        _say("{date} in --log needs --daily")
        sys.exit(_USAGE)
    if "-" in arguments.paths and len(arguments.paths) > 1:
        _say("standard input (-) is shipped alone")
        sys.exit(_USAGE)
    try:
        sys.exit(_Ships(arguments, _token_of(arguments.token_file, environment)).run())
    except Refused as refused:
        _say(str(refused))
    except OSError as error:
        _say(f"{error.filename or arguments.paths[0]}: {error.strerror}")
    sys.exit(1)


class _Ships:
    """All files of a command. Each is shipped in a thread of its own."""

    def __init__(self, arguments: argparse.Namespace, token: Callable[[], str]) -> None:
        """Raises Refused."""
        self._arguments, self._token = arguments, token
        self._zone = arguments.time_zone or machine_time_zone(os.environ)
        self._days = _zone(self._zone) if arguments.daily else None
        self._is_many = len(arguments.paths) > 1 or is_pattern(arguments.paths[0])
        self._shippers: dict[Path, Shipper] = {}
        self._logs: dict[str, Path] = {}
        self._threads: list[threading.Thread] = []
        self._statuses: list[int] = []
        self._stopping = threading.Event()

    def run(self) -> int:
        """The exit status. Raises Refused or OSError if there is one file, and it cannot be shipped."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        path = self._arguments.paths[0]
        if path == "-":
            return self._ship_input()
        if not self._is_many:
            return self._ship(Path(path), path)
        if self._arguments.state:
            Path(self._arguments.state).mkdir(parents=True, exist_ok=True)
        while True:
            self._look()
            if self._stopping.is_set() or self._arguments.once:
                break
            self._stopping.wait(_SCAN)
        for thread in self._threads:
            thread.join()
        if not self._shippers and self._arguments.once:
            raise Refused(f"{' '.join(self._arguments.paths)}: no such file")
        return 1 if 1 in self._statuses else max(self._statuses, default=0)

    def _look(self) -> None:
        """Begin with the files that are new."""
        held = {identity for shipper in self._shippers.values() for identity in shipper.identities}
        for pattern in self._arguments.paths:
            for path in files_of(pattern, self._shippers) if is_pattern(pattern) else [Path(pattern)]:
                if path in self._shippers:
                    continue
                with suppress(OSError):
                    found = path.stat()
                    if (found.st_dev, found.st_ino) in held:
                        continue  # it was renamed
                self._begin(path, pattern)

    def _begin(self, path: Path, pattern: str) -> None:
        def ship() -> None:
            try:
                self._statuses.append(self._ship(path, pattern))
            except Refused as refused:
                say(str(refused))
                self._statuses.append(1)
            except OSError as error:
                say(f"{error.strerror}")
                self._statuses.append(1)

        def say(message: str) -> None:
            _say(f"{path}: {message}")

        started = threading.Thread(target=ship, daemon=True)
        self._shippers[path] = self._shipper(path, pattern, say)
        self._threads.append(started)
        started.start()

    def _ship(self, path: Path, pattern: str, *, spool: bool = False) -> int:
        shipper = self._shippers.get(path) or self._shippers.setdefault(path, self._shipper(path, pattern, _say, spool))
        if self._stopping.is_set():
            shipper.stopping = True
        with locked(self._state_of(path, spool)):
            try:
                if shipper.run():
                    return 0
                _say("the service does not answer, and not everything was sent; run this again to send the rest")
                return _NOT_ALL_SENT
            finally:
                shipper.close()

    def _ship_input(self) -> int:
        """Ship standard input, which is kept in a directory until it is sent."""
        directory = Path(tempfile.mkdtemp(prefix="logkeep-"))
        path = directory / "stdin"
        path.touch()
        _say(f"keeps standard input in {directory} until it is sent; if this is killed: {self._again(path)}")
        shipper = self._shippers[path] = self._shipper(path, "-", _say, spool=True)

        def at_end() -> None:
            shipper.is_complete = True
            shipper.stopping = self._stopping.is_set()

        # Before the agent has a state, it would not know files that were begun before the last one as its own.
        state = self._state_of(path, spool=True)
        self._pump = Pump(sys.stdin.fileno(), path, _say, at_end, may_turn=state.exists)
        self._pump.start()
        status = 1
        try:
            status = self._ship(path, "-", spool=True)
        finally:
            if status == 0:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                _say(f"what was not sent is in {directory}: {self._again(path)}")
        return status

    def _again(self, path: Path) -> str:
        """The command that ships what was kept of standard input."""
        given = self._arguments
        command = ["logkeep", "ship", str(path), "--log", given.log]
        command += [f"--{name}" for name in ("daily", "append", "seal") if getattr(given, name)]
        command += [part for key, value in given.labels for part in ("--label", f"{key}={value}")]
        return shlex.join([*command, *(["--time-zone", given.time_zone] if given.time_zone else []), "--once"])

    _pump: Pump | None = None

    def _stop(self, *_: object) -> None:
        self._stopping.set()
        if self._pump:
            self._pump.stop()  # and what the program still writes is read to its end
            return
        for shipper in self._shippers.values():
            shipper.stopping = True

    def _state_of(self, path: Path, spool: bool = False) -> Path:
        given = Path(self._arguments.state) if self._arguments.state and not spool else None
        return given if given and not self._is_many else state_of(path, given)

    def _shipper(self, path: Path, pattern: str, say: Callable[[str], None], spool: bool = False) -> Shipper:
        """Raises Refused."""
        arguments = self._arguments
        form = daily(arguments.log) if arguments.daily else arguments.log
        name = Path("stdin") if spool else path

        def log_id(day: str) -> str:
            return log_id_of(form, name, pattern, day)

        if PACKED.search(path.name):
            raise Refused(f"{path} is compressed; ship the original file")
        log = log_id("0000-00-00" if arguments.daily else "")
        if (other := self._logs.setdefault(log, path)) != path:
            raise Refused(
                f"{other} and {path} would both be {log}; --log needs {{name}}, {{stem}} or {{1}} for each file"
            )
        service = Service(
            arguments.endpoint,
            arguments.project,
            log,
            self._token,
            self._zone,
            dict(arguments.labels),
            waits_for_token=bool(arguments.token_file),
        )
        options = Options(
            once=arguments.once,
            seal=arguments.seal,
            append=arguments.append,
            interval=arguments.interval,
            settle=0 if spool else arguments.settle,
            ahead=max(_AHEAD_MIN, _AHEAD // max(4, 1 + len(self._shippers))),
            rotated=tuple(map(Path, arguments.rotated)),
            zone=self._days,
            log_id=log_id if arguments.daily else None,
            discard=spool,
        )
        return Shipper(service, path, self._state_of(path, spool), options, say)


def _zone(name: str | None) -> tzinfo:
    """Raises Refused if this machine does not know the zone."""
    try:
        return ZoneInfo(name) if name and name != "UTC" else UTC
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Refused(f"this machine does not know the time zone {name}, so --daily cannot tell days") from error


def _token_of(file: str | None, environment: Mapping[str, str]) -> Callable[[], str]:
    """A function that reads the token anew for every request, so that the file can be replaced by one with a new token.

    It raises Refused if there is no token, or OSError. If the file held one before, it is being replaced: then it
    raises Later.
    """
    had_one = False

    def read() -> str:
        nonlocal had_one
        try:
            token = once()
        except (Refused, OSError) as error:
            if file and had_one:
                raise Later(f"{error}; a token is waited for") from error
            raise
        had_one = True
        return token

    def once() -> str:
        token = Path(file).read_text(errors="replace").strip() if file else environment.get("LOGKEEP_TOKEN", "").strip()
        if not token:
            raise Refused(f"there is no token in {file or 'LOGKEEP_TOKEN'}")
        if not token.isascii() or not token.isprintable():
            raise Refused(f"the content of {file or 'LOGKEEP_TOKEN'} is no token, which is one line of ASCII")
        return token

    return read


def _label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key or not value or "," in key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="logkeep", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    logs = commands.add_parser(
        "logs",
        help="print the lines of a log",
        description=DESCRIPTION,
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(logs)
    ship = commands.add_parser(
        "ship",
        help="send a file as it grows",
        description=_SHIP,
        epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ship.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="the file; if it does not exist, the agent waits for it. Or several, a pattern in quotes, or -",
    )
    ship.add_argument(
        "--log", required=True, metavar="ID", help="such as build/RECORD/stage1, or check/SUB_JOB/{name} for many files"
    )
    ship.add_argument(
        "--daily", action="store_true", help="a log a day: the day is where {date} is in ID, or after its second part"
    )
    ship.add_argument(
        "--label",
        dest="labels",
        type=_label,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the log, if it is new; may be repeated",
    )
    ship.add_argument(
        "--rotated",
        action="append",
        default=[],
        metavar="DIR",
        help="a directory to which rotated files are moved, if it is not their own; may be repeated",
    )
    for each in (logs, ship):
        each.add_argument(
            "--endpoint", default=environment.get("LOGKEEP_ENDPOINT"), metavar="URL", help="default: LOGKEEP_ENDPOINT"
        )
        each.add_argument(
            "--project", default=environment.get("LOGKEEP_PROJECT"), metavar="ID", help="default: LOGKEEP_PROJECT"
        )
        each.add_argument(
            "--token-file",
            default=environment.get("LOGKEEP_TOKEN_FILE"),
            metavar="FILE",
            help="default: LOGKEEP_TOKEN_FILE, or else the token itself in LOGKEEP_TOKEN",
        )
    ship.add_argument(
        "--state",
        metavar="FILE",
        help="where the agent keeps its place (of many files: a directory); default: .NAME.logkeep beside PATH",
    )
    ship.add_argument(
        "--time-zone", metavar="NAME", help="of times that name none, such as Asia/Shanghai; default: this machine's"
    )
    ship.add_argument("--once", action="store_true", help="end when everything that is there was sent")
    ship.add_argument("--seal", action="store_true", help="seal the log at the end, with its bytes and CRC-32")
    ship.add_argument("--append", action="store_true", help="ship the file after what the log already holds")
    ship.add_argument(
        "--interval",
        type=_seconds,
        metavar="SECONDS",
        help="time between two requests; default: 3 to 30, as the service asks",
    )
    ship.add_argument(
        "--settle",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="time without a new byte after which a rotated file is complete; default: 5",
    )
    return parser


def _seconds(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if 0 <= value <= 86400:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")


def _say(message: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} logkeep: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
