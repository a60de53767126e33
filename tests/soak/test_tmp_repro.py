import uuid, zlib
import pytest
from tests.calls import seal
from tests.soak.known import known
from tests.soak.test_kills import _chain
from logkeep.aws.logs import log_store
from logkeep.logid import LogId
from tests.calls import PROJECT
pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("aws")]
def test_repro():
    seed = 1026
    text = known(seed).text
    bad = 0
    for n in range(40):
        log_id, service = f"build/{uuid.uuid4()}/stage1", str(uuid.uuid4())
        lives = _chain(seed * 10, seed, log_id, service)
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        sealed = seal(log_id, bytes=len(text), lines=lines, crc32=f"{zlib.crc32(text):08x}")
        if sealed.json.get("state") != "sealed":
            bad += 1
            print(n, sealed.json, [(l.killed, l.last_step, l.latest) for l in lives])
            store = log_store(PROJECT); head = store.head(LogId.parse(log_id))
            print([ (r.fragment.offset, r.fragment.raw) for r in store.rows(head)], head)
    print("bad", bad)
