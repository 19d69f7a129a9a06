"""Expression sets."""

from dfer.labels import BASIC, COLOURS, EXTENDED, SHORT, canonical, label_map


def test_the_seven_are_in_dfews_order() -> None:
    assert BASIC == ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
    assert EXTENDED[:7] == BASIC
    assert len(set(EXTENDED)) == 11


def test_every_expression_has_a_short_name_and_its_own_colour() -> None:
    assert set(SHORT) == set(COLOURS) == {*EXTENDED, "calm"}
    assert len(set(SHORT.values())) == len(set(COLOURS.values())) == 12


def test_names_of_all_data_sets_are_known() -> None:
    mafw = "anger disgust fear happiness neutral sadness surprise contempt anxiety helplessness disappointment"
    assert {canonical(name) for name in mafw.split()} == set(EXTENDED)
    assert {canonical(name) for name in ("Hap", "Sad", "Neu", "Ang", "Sur", "Dis", "Fea")} == set(BASIC)
    ravdess = "neutral calm happy sad angry fearful disgust surprised"
    assert {canonical(name) for name in ravdess.split()} == {*BASIC, "calm"}
    assert [canonical(name) for name in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")] == [
        *("angry", "disgust", "fear", "happy", "neutral", "sad")
    ]


def test_map_there_and_back() -> None:
    there = label_map(EXTENDED, BASIC)
    assert there == [0, 1, 2, 3, 4, 5, 6, None, None, None, None]
    assert label_map(tuple(reversed(BASIC)), BASIC) == [6, 5, 4, 3, 2, 1, 0]
