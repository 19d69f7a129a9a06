"""Faces differ from one another and stay themselves."""

from dfer.datasets.synthetic.identity import BEARDS, HAIRSTYLES, make_identity


def test_the_same_number_is_the_same_face() -> None:
    assert make_identity(3, 17) == make_identity(3, 17)
    assert make_identity(3, 17) != make_identity(4, 17)


def test_faces_vary() -> None:
    people = [make_identity(0, number) for number in range(200)]
    assert len({who.skin for who in people}) > 190
    assert {who.beard for who in people} == set(BEARDS)
    assert {who.hairstyle for who in people} == set(HAIRSTYLES)
    assert 5 < sum(who.glasses for who in people) < 60
    assert all(who.brow_y < who.eye_y < who.nose_y < who.mouth_y < who.chin_y for who in people)
