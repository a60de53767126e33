"""Signatures: the published vectors, the vendors' own signer, and whoever changes what was signed."""

import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from hypothesis import assume, given
from hypothesis import strategies as st

from logkeep.errors import SignatureRefused
from logkeep.identity.signature import (
    Authorization,
    SignedRequest,
    canonical_path,
    canonical_query,
    is_signature,
    verify,
)
from tests.signing import sdk_sign, stamp

pytestmark = pytest.mark.unit

NOW = 1_768_464_000.0  # 20260115T080000Z
DATE = "20260115T080000Z"
HOST = "logs.example.com"
AK, SK = "TESTAK0000000000", "testsk-not-a-secret"
PROJECT = "0f5f3d6c1b6a4d5a8f4e1a2b3c4d5e6f"

# The published vectors

GUIDE = SignedRequest(
    method="GET",
    path="/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
    query="limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
    headers={
        "content-type": "application/json",
        "host": "service.region.example.com",
        "x-sdk-date": "20191115T033655Z",
    },
    domain="",
    body=b"",
)
VECTOR = SignedRequest(
    method="GET",
    path=f"/v1.0/{PROJECT}/clusters/4213d908-f5dc-4633-8401-cfd7175fca0c/logs/records",
    query="limit=10&offset=1",
    headers={
        "content-type": "application/json",
        "host": HOST,
        "user-agent": "huaweicloud-usdk-python/3.0",
        "x-project-id": PROJECT,
        "x-sdk-date": DATE,
    },
    domain="",
    body=b"",
)
ALL = "content-type;host;user-agent;x-project-id;x-sdk-date"
VECTORS = {
    "signing guide": (
        GUIDE,
        1_573_789_015,
        "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
        "content-type;host;x-sdk-date",
        "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
    ),
    "V1": (VECTOR, NOW, SK, ALL, "25f3f7d007ce9878ed533d984818121f7922ff0ce7f8122399aa23bc9269330f"),
    "V2": (
        replace(
            VECTOR,
            path="/v1/log/5c77b71c-5b35-4f50-8984-76387e42451a/task-log",
            query="compress=true&log_level=DEBUG&task_name=stage1",
        ),
        NOW,
        SK,
        ALL,
        "c57d02aeec70f7652dd0c2cc2c64c8c40a38408460150b78bbd217a5772de700",
    ),
}


@pytest.mark.parametrize(("request_", "now", "secret", "names", "signature"), VECTORS.values(), ids=VECTORS)
def test_the_published_vectors_are_right(request_, now, secret, names, signature) -> None:
    header = f"SDK-HMAC-SHA256 Access={AK}, SignedHeaders={names}, Signature={signature}"
    verify(Authorization.parse(header), request_, secret, now)
    wrong = signature[:-1] + ("1" if signature.endswith("0") else "0")
    with pytest.raises(SignatureRefused, match=r"^verify aksk signature fail$"):
        verify(Authorization.parse(header.replace(signature, wrong)), request_, secret, now)


# The vendors' signer


def without_surrogates(size: int, **options: Any) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", **options), max_size=size)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in {"host", "content-type", "authorization", "x-sdk-date", "x-sdk-content-sha256"}
)
VALUES = without_surrogates(12, exclude_categories=["Cc"]).map(str.strip)
LISTED = st.lists(without_surrogates(6), min_size=1, max_size=3)
REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        "segments": st.lists(without_surrogates(8), min_size=1, max_size=4),
        "query": st.dictionaries(
            without_surrogates(6), st.one_of(without_surrogates(8), st.booleans(), st.integers(), LISTED), max_size=4
        ),
        "headers": st.dictionaries(NAMES, VALUES, max_size=3),
        "content_type": st.sampled_from([None, "application/json", "application/json;charset=utf8"]),
        "body": st.one_of(st.just(b""), st.binary(max_size=40)),
        "host": st.sampled_from([HOST, f"{HOST}:443", f"{HOST}:8443"]),
    }
)


def sent(wanted: dict[str, Any], secret: str = SK) -> tuple[Authorization, SignedRequest]:
    """What the SDK sends, with its path as sent."""
    headers = {**wanted["headers"], "X-Sdk-Date": DATE}
    if wanted["content_type"]:
        headers["Content-Type"] = wanted["content_type"]
    request = SdkRequest(
        method=wanted["method"],
        host=wanted["host"],
        resource_path="/" + "/".join(quote(segment, safe="") for segment in wanted["segments"]),
        query_params=list(wanted["query"].items()),
        header_params=headers,
        body=wanted["body"],
    )
    proof = sdk_sign(request, secret, AK)
    path, _, query = request.uri.partition("?")
    arrived = SignedRequest(
        method=wanted["method"], path=path, query=query, headers=proof, domain="", body=wanted["body"]
    )
    return Authorization.parse(proof["authorization"]), arrived


def refused(given: Authorization, request: SignedRequest, secret: str = SK, now: float = NOW) -> bool:
    try:
        verify(given, request, secret, now)
    except SignatureRefused:
        return True
    return False


@given(REQUESTS)
def test_what_the_sdk_signs_is_right_from_the_encoded_and_from_the_decoded_path(wanted) -> None:
    authorization, request = sent(wanted)
    verify(authorization, request, SK, NOW)
    verify(authorization, replace(request, path=unquote(request.path)), SK, NOW)


@pytest.mark.parametrize("segment", ["%", "%41", "100%25", "%2F", "a/b", "a b+c", "?", "~", "数求交", "\0"])
def test_what_a_path_holds_is_decoded_once_and_no_more(segment) -> None:
    authorization, request = sent(plain(segments=["v1", segment]))
    for path in (request.path, unquote(request.path)):
        verify(authorization, replace(request, path=path), SK, NOW)


@given(REQUESTS)
def test_headers_are_right_whether_the_gateway_reads_latin_1_or_utf_8(wanted) -> None:
    authorization, request = sent(wanted)
    as_utf_8 = {name: value.encode("latin-1").decode() for name, value in request.headers.items()}
    verify(authorization, replace(request, headers=as_utf_8), SK, NOW)


@given(REQUESTS, st.data())
def test_whatever_is_changed_makes_it_wrong(wanted, data) -> None:
    authorization, request = sent(wanted)
    letter = data.draw(st.sampled_from("aZ09"))

    def with_letter(text: str, first: int = 0) -> str:
        place = data.draw(st.integers(first, len(text)))
        return text[:place] + letter + text[place:]

    def with_header(name: str, value: str | None) -> SignedRequest:
        headers = {key: each for key, each in request.headers.items() if key != name}
        return replace(request, headers=headers if value is None else {**headers, name: value})

    assert refused(authorization, replace(request, path=with_letter(request.path, 1)))
    assert refused(authorization, replace(request, path=with_letter(unquote(request.path), 1)))
    assert refused(authorization, replace(request, query=f"{request.query}&{letter}="))
    assert refused(authorization, replace(request, body=request.body + letter.encode()))
    assert refused(authorization, replace(request, method="HEAD"))
    assert refused(authorization, request, SK + letter)
    assert refused(authorization, with_header("x-sdk-date", stamp(NOW + 1)))
    for name in authorization.signed_headers.split(";"):
        assert refused(authorization, with_header(name, request.headers[name] + letter))
        # A name may stand in any case, and a repeated one is joined with a comma.
        assert refused(authorization, with_header(name, f"{request.headers[name]},{request.headers[name]}"))
        if name != "host":  # its name is known without
            assert refused(authorization, with_header(name, None))


@given(REQUESTS, REQUESTS)
def test_a_signature_is_good_for_no_other_request(wanted, other) -> None:
    authorization, request = sent(wanted)
    theirs, another = sent({**other, "host": wanted["host"]})
    assume(theirs.signature != authorization.signature)
    # A header that only the other one signs is none of this one's business.
    assume((request.method, request.body) != (another.method, another.body) or another.path != request.path)
    assert refused(authorization, another)
    assert refused(authorization, replace(request, path=another.path, query=another.query)) or (
        canonical_path(unquote(another.path).encode()) == canonical_path(unquote(request.path).encode())
        and canonical_query(another.query) == canonical_query(request.query)
    )


def test_a_path_with_and_without_its_last_slash_is_the_same() -> None:
    """As the guide has it: what is signed ends with a slash, what is sent need not."""
    authorization, request = sent(plain())
    verify(authorization, replace(request, path=request.path + "/"), SK, NOW)


# Hosts, dates, bodies


def plain(**changes: Any) -> dict[str, Any]:
    wanted = {"method": "POST", "segments": ["v1", "p"], "query": {}, "headers": {}, "body": b"{}", "host": HOST}
    return {**wanted, "content_type": "application/json", **changes}


@pytest.mark.parametrize("signed_host", [HOST, f"{HOST}:443", f"{HOST}:80"])
@pytest.mark.parametrize("arrived", [HOST, f"{HOST}:443", f"{HOST}:80"])
def test_a_default_port_may_come_or_go_on_the_way(signed_host, arrived) -> None:
    authorization, request = sent(plain(host=signed_host))
    verify(authorization, replace(request, headers={**request.headers, "host": arrived}), SK, NOW)


@pytest.mark.parametrize("arrived", [f"{HOST}:8443", "evil.example.com", "", f"{HOST}:443:443", f"{HOST},{HOST}"])
def test_another_host_is_another_request(arrived) -> None:
    authorization, request = sent(plain())
    assert refused(authorization, replace(request, headers={**request.headers, "host": arrived}))


def test_the_gateways_own_name_is_a_host_too() -> None:
    authorization, request = sent(plain())
    verify(authorization, replace(request, headers={**request.headers, "host": "inner"}, domain=HOST), SK, NOW)


@pytest.mark.parametrize(("late", "is_refused"), [(0, False), (900, False), (901, True), (-900, False), (-901, True)])
def test_a_signature_is_good_for_15_minutes_either_way(late, is_refused) -> None:
    assert refused(*sent(plain()), now=NOW + late) is is_refused


@pytest.mark.parametrize(
    "date",
    [
        "",
        "0",
        "99991231T235959Z",
        "00000101T000000Z",
        "00010101T000000Z",
        "20260230T080000Z",
        "20260115T080061Z",
        "2026-01-15T08:00:00Z",
        "20260115T080000",
        f"{DATE},{DATE}",
        f" {DATE}",
        DATE.translate({ord("0"): "\u0660"}),
        "\ud800",
    ],
)
def test_another_date_or_none_is_refused(date) -> None:
    given, request = sent(plain())
    with pytest.raises(SignatureRefused, match=r"YYYYMMDDTHHMMSSZ|signature expired"):
        verify(given, replace(request, headers={**request.headers, "x-sdk-date": date}), SK, NOW)


def test_who_is_late_hears_the_servers_time() -> None:
    with pytest.raises(SignatureRefused, match=rf"signature expired: x-sdk-date {DATE}, .* {stamp(NOW + 3600)}$"):
        verify(*sent(plain()), SK, NOW + 3600)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", ""])
def test_an_unsigned_body_is_taken_where_files_are_and_nowhere_else(content_type) -> None:
    given, request = sent(plain(headers={"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}, content_type=content_type))
    verify(given, replace(request, body=b"of any size"), SK, NOW, unsigned_body=True)
    assert refused(given, request)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_json_must_be_signed_even_where_files_are_taken(content_type) -> None:
    given, request = sent(plain(headers={"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}, content_type=content_type))
    with pytest.raises(SignatureRefused, match="the body must be signed"):
        verify(given, request, SK, NOW, unsigned_body=True)


def test_that_a_body_is_unsigned_must_be_signed() -> None:
    given, request = sent(plain(content_type="application/octet-stream"))
    stripped = replace(given, signed_headers=given.signed_headers.replace(";x-sdk-content-sha256", ""))
    with pytest.raises(SignatureRefused, match="the body must be signed"):
        verify(stripped, request, SK, NOW, unsigned_body=True)


@pytest.mark.parametrize("told", [hashlib.sha256(b"{}").hexdigest(), hashlib.sha256(b"{}").hexdigest().upper()])
def test_a_told_hash_must_be_the_bodys(told) -> None:
    given, request = sent(plain(headers={"X-Sdk-Content-Sha256": told}))
    verify(given, request, SK, NOW)
    for unsigned_body in (False, True):
        with pytest.raises(SignatureRefused, match="not the hash of the body"):
            verify(given, replace(request, body=b"[]"), SK, NOW, unsigned_body=unsigned_body)


# The Authorization header

SIGNATURE = "0" * 64


@pytest.mark.parametrize("names", ["host", "Host;x_sdk_date"])
def test_the_date_must_be_signed(names) -> None:
    with pytest.raises(SignatureRefused, match="x-sdk-date must be signed"):
        Authorization.parse(f"SDK-HMAC-SHA256 Access=A, SignedHeaders={names}, Signature={SIGNATURE}")


@pytest.mark.parametrize(
    "header",
    [
        "SDK-HMAC-SM3 Access=A, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        "SDK-ECDSA-P256-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        "SDK-SM2-SM3 Access=A",
        "V11-HMAC-SHA256 Credential=A/20260115/r/s, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        "SDK-NONE",
        "SDK-HMAC-SHA2560 Access=A",
    ],
)
def test_other_algorithms_are_named_and_refused(header) -> None:
    assert is_signature(header)
    with pytest.raises(SignatureRefused, match=f"{header.split()[0]} is not supported, use SDK-HMAC-SHA256"):
        Authorization.parse(header)


@pytest.mark.parametrize(
    "header",
    [
        "SDK-HMAC-SHA256",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=00",
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=" + "A" * 64,
        "SDK-HMAC-SHA256 Access=, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        "SDK-HMAC-SHA256 Access=a/b, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        f"SDK-HMAC-SHA256 Access={'A' * 129}, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;;x-sdk-date, Signature=" + SIGNATURE,
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date\n, Signature=" + SIGNATURE,
        "SDK-HMAC-SHA256 Access=A, Access=B, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE,
        ",".join(["SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE] * 2),
        "SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=" + SIGNATURE + "\n",
    ],
)
def test_a_malformed_header_is_refused_as_such(header) -> None:
    with pytest.raises(SignatureRefused, match="the Authorization header is malformed"):
        Authorization.parse(header)


PIECES = st.sampled_from(
    [
        *("SDK-HMAC-SHA256", "SDK-", "V11-X", " ", "Access=", "A", ", ", ",", "SignedHeaders=", "host", ";"),
        *("x-sdk-date", "Signature=", SIGNATURE, "\0", "\n", "\ud800", "é", "=", "x" * 5000),
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)))
def test_no_header_raises_anything_but_a_refusal(header) -> None:
    is_signature(header)
    try:
        given = Authorization.parse(header)
    except SignatureRefused:
        pass
    else:
        assert refused(given, VECTOR)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_half_of_a_surrogate_pair_only_makes_it_wrong(path, query, header, method) -> None:
    given, request = sent(plain(headers={"X-Mine": "x"}))
    headers = {**request.headers, "x-mine": header + "\udcff", "host": header}
    hostile = replace(request, method=method, path="/\ud800" + path, query=f"\udfff={query}", headers=headers)
    assert refused(given, hostile)


def test_a_header_that_would_cost_too_much_to_verify_is_refused() -> None:
    names = ";".join(["host", "x-sdk-date", *(f"x-{number}" for number in range(70))])
    with pytest.raises(SignatureRefused, match="more than 64 headers"):
        Authorization.parse(f"SDK-HMAC-SHA256 Access={AK}, SignedHeaders={names}, Signature={SIGNATURE}")


def test_what_was_signed_is_compared_in_constant_time(monkeypatch) -> None:
    compared = []

    def compare(expected: str, given: str) -> bool:
        compared.append(expected)
        return expected == given

    monkeypatch.setattr("logkeep.identity.signature.hmac.compare_digest", compare)
    given, request = sent(plain())
    verify(given, request, SK, NOW)
    right = len(compared)
    assert right
    assert refused(replace(given, signature=SIGNATURE), request)
    assert len(compared) > 2 * right, "every form that the request may have been signed in is compared"
