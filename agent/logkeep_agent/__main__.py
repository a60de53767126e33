"""Ships growing files to Logkeep."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from logkeep_agent import Refused
from logkeep_agent.service import Service
from logkeep_agent.ship import Options, Shipper
from logkeep_agent.state import locked
from logkeep_agent.zone import machine_time_zone

_USAGE: Final = 2
_NOT_ALL_SENT: Final = 3
_SHIP: Final = """\
Sends PATH to a log as it grows. When stopped (SIGTERM, Ctrl-C), it sends what is there and ends. When started again, it
continues where the log ends, however it was ended. It follows rotation by rename and by truncation.

The token needs the scope logs:write. It is read from LOGKEEP_TOKEN or from a file, never from the command line, which
others can see.
"""
_EXITS: Final = """\
exit status: 0 everything was sent; 1 it cannot continue, and says why; 2 the command is wrong; 3 the service did not
answer before the agent had to end: run it again to send the rest
"""


def main() -> None:
    environment = os.environ
    arguments = _parser(environment).parse_args()
    missing = [name for name in ("endpoint", "project") if not getattr(arguments, name)]
    if missing:
        _say(f"the service is not known; set {' and '.join(f'--{name} or LOGKEEP_{name.upper()}' for name in missing)}")
        sys.exit(_USAGE)
    try:
        sys.exit(_ship(arguments, _token_of(arguments.token_file, environment)))
    except Refused as refused:
        _say(str(refused))
    except OSError as error:
        _say(f"{error.filename or arguments.path}: {error.strerror}")
    sys.exit(1)


def _ship(arguments: argparse.Namespace, token: Callable[[], str]) -> int:
    path = Path(arguments.path)
    if path.suffix == ".gz":
        raise Refused(f"{path} is compressed; ship the original file")
    zone = arguments.time_zone or machine_time_zone(os.environ)
    service = Service(arguments.endpoint, arguments.project, arguments.log, token, zone)
    state = Path(arguments.state) if arguments.state else path.with_name(f".{path.name}.logkeep")
    options = Options(
        once=arguments.once,
        seal=arguments.seal,
        append=arguments.append,
        interval=arguments.interval,
        settle=arguments.settle,
    )
    with locked(state):
        shipper = Shipper(service, path, state, options, _say)

        def stop(*_: Any) -> None:
            shipper.stopping = True

        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, stop)
        try:
            if shipper.run():
                return 0
            _say("the service does not answer, and not everything was sent; run this again to send the rest")
            return _NOT_ALL_SENT
        finally:
            shipper.close()


def _token_of(file: str | None, environment: Mapping[str, str]) -> Callable[[], str]:
    """A function that reads the token anew for every request, so that the file can be replaced by one with a new token.

    It raises Refused if there is no token, or OSError.
    """

    def read() -> str:
        token = Path(file).read_text(errors="replace").strip() if file else environment.get("LOGKEEP_TOKEN", "").strip()
        if not token:
            raise Refused(f"there is no token in {file or 'LOGKEEP_TOKEN'}")
        if not token.isascii() or not token.isprintable():
            raise Refused(f"the content of {file or 'LOGKEEP_TOKEN'} is no token, which is one line of ASCII")
        return token

    return read


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="logkeep", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    ship = commands.add_parser(
        "ship",
        help="send a file as it grows",
        description=_SHIP,
        epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ship.add_argument("path", metavar="PATH", help="the file; if it does not exist, the agent waits for it")
    ship.add_argument("--log", required=True, metavar="ID", help="such as build/RECORD/stage1")
    ship.add_argument(
        "--endpoint", default=environment.get("LOGKEEP_ENDPOINT"), metavar="URL", help="default: LOGKEEP_ENDPOINT"
    )
    ship.add_argument(
        "--project", default=environment.get("LOGKEEP_PROJECT"), metavar="ID", help="default: LOGKEEP_PROJECT"
    )
    ship.add_argument(
        "--token-file",
        default=environment.get("LOGKEEP_TOKEN_FILE"),
        metavar="FILE",
        help="default: LOGKEEP_TOKEN_FILE, or else the token itself in LOGKEEP_TOKEN",
    )
    ship.add_argument(
        "--state", metavar="FILE", help="where the agent keeps its place; default: .NAME.logkeep beside PATH"
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
