"""Ships files that grow to Logkeep."""

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

_USAGE: Final = 2
_NOT_ALL_SENT: Final = 3
_SHIP: Final = """\
Sends PATH to a log as it grows, until it is stopped (SIGTERM, Ctrl-C): then it sends what is there and ends. Started
again, however it ended, it goes on where the log ends. It follows rotation, by rename or by truncation.

A token of scope logs:write is read from LOGKEEP_TOKEN, or out of a file; never from the command line, which others see.
"""
_EXITS: Final = """\
exit status: 0 all is sent; 1 it cannot go on, and says why; 2 the command is wrong; 3 it was to end, and the service
did not answer: what is missing is sent when it runs again
"""


def main() -> None:
    environment = os.environ
    arguments = _parser(environment).parse_args()
    missing = [name for name in ("endpoint", "project") if not getattr(arguments, name)]
    if missing:
        _say(f"where to? Set {' and '.join(f'--{name} or LOGKEEP_{name.upper()}' for name in missing)}")
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
        raise Refused(f"{path} is compressed; ship the file that it was made of")
    service = Service(arguments.endpoint, arguments.project, arguments.log, token)
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
            _say("the service does not answer, and not all is sent; it is when this runs again")
            return _NOT_ALL_SENT
        finally:
            shipper.close()


def _token_of(file: str | None, environment: Mapping[str, str]) -> Callable[[], str]:
    """The token, read anew for every request, so that a file can be replaced by one with another."""

    def read() -> str:
        token = Path(file).read_text(errors="replace").strip() if file else environment.get("LOGKEEP_TOKEN", "").strip()
        if not token:
            raise Refused(f"there is no token in {file or 'LOGKEEP_TOKEN'}")
        if not token.isascii() or not token.isprintable():
            raise Refused(f"what is in {file or 'LOGKEEP_TOKEN'} is no token: one line of ASCII")
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
    ship.add_argument("path", metavar="PATH", help="the file; one that is not there yet is waited for")
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
        help="default: LOGKEEP_TOKEN_FILE, else the token itself in LOGKEEP_TOKEN",
    )
    ship.add_argument("--state", metavar="FILE", help="where it keeps its place; default: .NAME.logkeep beside PATH")
    ship.add_argument("--once", action="store_true", help="end when all that is there is sent")
    ship.add_argument("--seal", action="store_true", help="seal the log at the end, with its bytes and CRC-32")
    ship.add_argument("--append", action="store_true", help="begin behind what the log holds already")
    ship.add_argument(
        "--interval",
        type=_seconds,
        metavar="SECONDS",
        help="between two requests; default: 3 to 30, as the service says",
    )
    ship.add_argument(
        "--settle",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="without a byte, after which a rotated file is complete; default: 5",
    )
    return parser


def _seconds(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if 0 <= value <= 86400:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")


def _say(message: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} logkeep: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
