"""What functions print, kept in a file as a log group keeps it on AWS."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

from local.function_log import FunctionLog, files
from local.sandbox import Sandboxes
from tests.calls import event
from tests.local.service import eventually
from tests.local.test_sandbox import ENVIRONMENT, FUNCTION


def test_a_line_per_request_is_kept_in_whole_however_many_print_at_once(tmp_path, capfd):
    present, _ = files(tmp_path)
    with Sandboxes(ENVIRONMENT | {"POWERTOOLS_LOG_LEVEL": "INFO"}, FunctionLog(tmp_path)) as sandboxes:

        def call(number: int) -> None:
            request = event("reject_unknown")
            request["requestContext"]["requestId"] = str(number)
            sandboxes.invoke(FUNCTION, request, str(number), 20)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(call, range(10)))  # a process writes the lines of so many that have no proof
        assert eventually(lambda: present.read_bytes().count(b"\n") == 10)
    lines = [json.loads(line) for line in present.read_text().splitlines()]
    assert sorted(int(line["correlation_id"]) for line in lines) == list(range(10))
    assert capfd.readouterr().out == ""


def test_what_is_worse_than_information_is_shown_too(tmp_path, capsys):
    failed = b'{"level": "ERROR", "message": "failed"}\n'
    FunctionLog(tmp_path).take(io.BytesIO(b'{"level": "INFO", "message": "request"}\n' + failed + b"no JSON\n[1]\n"))
    assert files(tmp_path)[0].read_bytes().count(b"\n") == 4
    assert capsys.readouterr().out == failed.decode() + "no JSON\n[1]\n"


def test_one_old_file_is_kept_when_a_new_one_is_begun(tmp_path, capsys):
    log = FunctionLog(tmp_path, size_max=10)
    for line in (b"first\n", b"second\n", b"third\n"):
        log.take(io.BytesIO(line))
    present, old = files(tmp_path)
    assert (present.read_bytes(), old.read_bytes()) == (b"third\n", b"second\n")
    assert len(list(tmp_path.iterdir())) == 2
