"""Errors get their codes from the API's own table before the gateway's."""

import pytest

from logkeep.apis.css.codes import CSS
from logkeep.apis.keystone.codes import IAM
from logkeep.apis.modelarts.codes import MODELARTS
from logkeep.errors import LogkeepError, LogNotFound, OtherProject, TokenMissing

pytestmark = pytest.mark.unit


def test_a_service_has_its_own_code_for_a_token_before_the_gateways():
    assert MODELARTS.error_body(TokenMissing(""))["error_code"] == "ModelArts.0201"
    assert CSS.error_body(TokenMissing(""))["error_code"] == "APIGW.0301"


def test_the_code_is_that_of_the_nearest_class_and_the_text_holds_the_detail():
    assert CSS.error_body(LogNotFound("no log x")) == {
        "error_code": "CSS.0016",
        "error_msg": "Resource not found. no log x",
        "errCode": "CSS.0016",
        "externalMessage": "CSS.0016 : Resource not found. no log x",
    }
    assert "errCode" not in CSS.error_body(OtherProject("")), "Terraform's provider would forget the cluster"
    assert CSS.error_body(LogkeepError("secret"))["error_msg"] == "Server error."


def test_keystones_clients_find_an_error_object_besides():
    assert IAM.error_body(LogkeepError(""))["error"] == {
        "code": 500,
        "title": "Internal Server Error",
        "message": "Internal error.",
    }
