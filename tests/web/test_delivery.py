import pytest

from logkeep.limits import ANSWER_MAX
from logkeep.web.delivery import Ask, Way, way

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json; charset=utf-8", True),
        ("text/html, application/json;q=0.1", True),
        ("application/json;q=1.0", True),
        ("", False),
        ("*/*", False),
        ("application/json, text/plain, */*", False),
        ("application/json, */*;q=0.5", False),
        ("application/json;q=0", False),
        ("application/json; q=0.0", False),
        ("application/json;q=much", False),
        ("application/*", False),
        ("application/octet-stream", False),
        ("application/jsonl", False),
    ],
)
def test_a_client_wants_json_that_names_it_and_does_not_take_anything(accept: str, wants: bool):
    assert Ask.of(accept, "", "").wants_json is wants


@pytest.mark.parametrize(
    ("accept_encoding", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("gzip ; q=0.001", True),
        ("*", True),
        ("*;q=0.5", True),
        ("", False),
        ("identity", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip; Q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=", False),
        ("gzip;q=nan", False),
        (",;,", False),
    ],
)
def test_a_client_takes_gzip_that_names_it_or_any_coding_with_a_weight(accept_encoding: str, takes: bool):
    assert Ask.of("", accept_encoding, "").takes_gzip is takes


@pytest.mark.parametrize(
    ("authorization", "signed"),
    [("SDK-HMAC-SHA256 Access=ak, SignedHeaders=host, Signature=0", True), ("", False), ("Bearer x", False)],
)
def test_a_signed_request_is_known_by_its_scheme(authorization: str, signed: bool):
    assert Ask.of("", "", authorization).is_signed is signed


@pytest.mark.parametrize("takes_gzip", [False, True])
@pytest.mark.parametrize(
    ("wants_json", "is_signed", "size", "expected"),
    [
        (True, False, 0, Way.LINK),
        (True, True, ANSWER_MAX, Way.LINK),
        (True, True, ANSWER_MAX + 1, Way.LINK),
        (False, False, 0, Way.ANSWER),
        (False, False, ANSWER_MAX, Way.ANSWER),
        (False, True, ANSWER_MAX, Way.ANSWER),
        (False, False, ANSWER_MAX + 1, Way.REDIRECT),
        (False, True, ANSWER_MAX + 1, Way.REFUSE),
    ],
)
def test_size_and_client_decide_how_a_file_is_delivered(
    wants_json: bool, is_signed: bool, takes_gzip: bool, size: int, expected: Way
):
    assert way(Ask(wants_json, takes_gzip, is_signed), size) is expected
