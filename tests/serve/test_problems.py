import pytest

from dfer.serve.problems import CODES, RequestError


def test_every_code_belongs_to_one_status() -> None:
    codes = [code for some in CODES.values() for code in some]
    assert len(codes) == len(set(codes)) > 10


def test_a_code_of_another_status_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="status 422 has no code 'busy'"):
        RequestError(422, "busy", "no")


def test_the_client_reads_code_and_message() -> None:
    error = RequestError(404, "not_found", "there is nothing here")
    assert error.to_dict() == {"error": {"code": "not_found", "message": "there is nothing here"}}
    assert error.headers == {}
