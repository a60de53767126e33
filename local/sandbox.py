"""Processes in which functions run, one call at a time each, as on Lambda.

They are not threads, because powertools keeps the event of the current call in a class attribute.
"""

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

from local import ACCOUNT, REGION, faults
from local.function_log import FunctionLog
from local.template import Function

ANSWER_MAX: Final = 6 * 1024 * 1024  # bytes of JSON of a Lambda's event or answer

# A sandbox is forked from a server that has these loaded, so it starts in milliseconds. logkeep.web.app is not among
# them: its logger reads the environment when it is imported, and a sandbox gets its environment later.
_PRELOADED: Final = [
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.logging",
    "logkeep.backups.store",
    "logkeep.events.store",
    "logkeep.downloads.render_store",
    "logkeep.web.delivery",
    "logkeep.apis.kuscia.messages",
]


class FunctionFailed(Exception):
    """The function raised, its process ended, or its answer is not JSON or too large; `answer` is what Lambda says."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.answer = {"errorType": kind, "errorMessage": message}


class FunctionTimedOut(FunctionFailed):
    """The function did not answer in time; its sandbox was killed."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds")


@dataclass(frozen=True, slots=True)
class LambdaContext:
    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    aws_request_id: str
    deadline: float  # in terms of time.monotonic(), which all processes of a machine share

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class Sandboxes:
    """The sandboxes: as many as there ever were concurrent calls. Each can run every function."""

    def __init__(self, environment: Mapping[str, str], log: FunctionLog | None = None) -> None:
        """The functions' standard output goes to the log, if there is one, their stderr to ours."""
        self._environment = dict(environment)
        self._log = log
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(_PRELOADED)
        # Ctrl-C reaches every process of the terminal. The server and its forks inherit that it is ignored.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        forkserver.ensure_running()
        signal.signal(signal.SIGINT, handler)
        self._idle: deque[_Sandbox] = deque()
        self._busy: set[_Sandbox] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def invoke(self, function: Function, event: Any, request_id: str, seconds: float, trace: str = "") -> Any:
        """Call a function, and return its answer. Raises FunctionFailed, or FunctionTimedOut after `seconds`.

        `trace` is the X-Ray header of the call.
        """
        text = json.dumps(event)
        try:
            sandbox = self._idle.pop()
        except IndexError:
            sandbox = _Sandbox(self.start)
        self._busy.add(sandbox)
        if self._closed:
            sandbox.kill()
        try:
            answer = sandbox.call(function, text, request_id, seconds, trace)
        except FunctionTimedOut:
            sandbox.end()
            raise
        finally:
            self._busy.discard(sandbox)
            if sandbox.lives:
                self._idle.append(sandbox)
        if answer is None:
            raise FunctionFailed("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited")
        return json.loads(answer)

    def start(self, work: Callable[..., None], *arguments: Any) -> "Child":
        """A process that calls `work` with the functions' environment and the arguments."""
        return Child(self._processes, self._log, work, self._environment, *arguments)

    def close(self) -> None:
        """End all sandboxes. Calls that are in progress fail."""
        self._closed = True
        for sandbox in list(self._busy):
            sandbox.kill()
        while self._idle:
            self._idle.pop().end()


class Child:
    """A process forked from the server. Its standard output goes to the log, if there is one."""

    def __init__(
        self,
        processes: multiprocessing.context.ForkServerContext,
        log: FunctionLog | None,
        work: Callable[..., None],
        *arguments: Any,
    ) -> None:
        printed, stdout = processes.Pipe(duplex=False) if log else (None, None)
        self.process = processes.Process(target=_start, args=(stdout, work, *arguments), daemon=True)
        self.process.start()
        self._printing: threading.Thread | None = None
        if log and printed and stdout:
            stdout.close()
            self._printing = threading.Thread(target=_take, args=(log, printed), daemon=True)
            self._printing.start()

    def kill(self) -> None:
        """Kill the process. A call that waits for its answer fails."""
        self.process.kill()

    def end(self) -> None:
        """Kill the process and wait until it is gone and its output is written."""
        self.kill()
        self.process.join()
        if self._printing:
            self._printing.join()


class _Sandbox:
    """A process that runs functions, and the pipe to it."""

    def __init__(self, start: Callable[..., Child]) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._child = start(_work, theirs)
        theirs.close()  # so that the end of the process ends the pipe

    @property
    def lives(self) -> bool:
        return self._child.process.is_alive()

    def call(self, function: Function, event: str, request_id: str, seconds: float, trace: str) -> bytes | None:
        """The answer as JSON, None if the process ended. Raises FunctionFailed or FunctionTimedOut."""
        try:
            self._ours.send((function, event, request_id, time.monotonic() + seconds, trace))
            if not self._ours.poll(seconds):
                raise FunctionTimedOut(seconds)
            failed, answer = self._ours.recv()
        except (EOFError, OSError):
            self.end()
            return None
        if failed:
            raise FunctionFailed(*failed)
        return bytes(answer)

    def kill(self) -> None:
        self._child.kill()

    def end(self) -> None:
        self._child.end()
        self._ours.close()


def _take(log: FunctionLog, printed: Connection) -> None:
    with printed, open(printed.fileno(), "rb", closefd=False) as lines:
        log.take(lines)


def _start(stdout: Connection | None, work: Callable[..., None], *arguments: Any) -> None:
    if stdout:
        with stdout:
            os.dup2(stdout.fileno(), 1)
    work(*arguments)


def _work(environment: Mapping[str, str], calls: Connection) -> None:
    """Run the calls that come through the pipe. It closes when our parent is gone, however the parent ended."""
    os.environ |= environment
    if seed := os.environ.get("FAULTS"):
        faults.begin(seed)
    while True:
        try:
            function, event, request_id, deadline, trace = calls.recv()
        except EOFError:
            return
        os.environ |= {"AWS_LAMBDA_FUNCTION_NAME": function.name, "_X_AMZN_TRACE_ID": trace}
        calls.send(_run(function, event, request_id, deadline))


def _run(function: Function, event: str, request_id: str, deadline: float) -> tuple[tuple[str, str] | None, bytes]:
    """How the function failed, if it did: type and message; and its answer as JSON."""
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
    context = LambdaContext(function.name, function.memory, arn, request_id, deadline)
    # Lambda would call a worker again only after a minute.
    faults.calling.set(None if function.is_worker or function.schedules else function.folder)
    try:
        handler = importlib.import_module(f"functions.{function.folder}.app").lambda_handler
        answer = json.dumps(handler(json.loads(event), context)).encode()
    except Exception as error:
        traceback.print_exc()
        return (type(error).__name__, str(error)), b""
    if len(answer) > ANSWER_MAX:
        message = f"{function.name} answered {len(answer)} bytes, and a Lambda at most {ANSWER_MAX}"
        print(message, file=sys.stderr)
        return ("Function.ResponseSizeTooLarge", message), b""
    return None, answer
