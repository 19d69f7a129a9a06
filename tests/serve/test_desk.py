import pytest

from dfer.serve.desk import Desk
from dfer.serve.problems import RequestError


def test_places_are_given_back_whatever_happens() -> None:
    desk = Desk(places=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), desk.admitted("request-1"):
            _ = 1 / (desk.taken - 1)
    assert desk.taken == 0
    assert desk.visits == {}


def test_who_finds_no_place_is_told_when_to_come_back() -> None:
    desk = Desk(places=2)
    desk.took(11.0)
    with desk.admitted(None), desk.admitted(None):
        with (
            pytest.raises(RequestError, match=r"2 videos are being worked on.*try again in 4 s") as caught,
            desk.admitted(None),
        ):
            pass
        assert desk.taken == 2
    assert (caught.value.status, caught.value.code, caught.value.headers) == (429, "busy", {"Retry-After": "4"})


@pytest.mark.parametrize(("seconds", "wait"), [(0.01, 1), (20.0, 20), (5000.0, 60)])
def test_the_wait_follows_the_work_within_a_minute(seconds: float, wait: int) -> None:
    desk = Desk(places=1)
    for _ in range(50):
        desk.took(seconds)
    assert desk.retry_after() == wait


def test_two_requests_do_not_share_an_id() -> None:
    desk = Desk(places=3)
    with desk.admitted("request-1") as visit:
        visit.at("recognising", 1.5, 3.0)
        with pytest.raises(RequestError, match="choose another id") as caught, desk.admitted("request-1"):
            pass
        assert desk.visits["request-1"].done == 1.5
        assert desk.taken == 1
    assert caught.value.status == 409
