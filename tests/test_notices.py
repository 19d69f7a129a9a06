import re
from pathlib import Path

from dfer import notices

README = Path(__file__).parents[1] / "README.md"


def test_the_law_is_cited_by_its_article() -> None:
    assert "workplace and in education institutions is prohibited" in notices.AI_ACT
    assert "except for medical or safety reasons" in notices.AI_ACT
    assert "Art. 5(1)(f)" in notices.AI_ACT
    assert "Art. 5(1)(f)" in " ".join(README.read_text().split())


def test_each_is_one_plain_line() -> None:
    for name in ("SHOWN_NOT_FELT", "AI_ACT", "DRAWN", "NO_MODEL"):
        text = getattr(notices, name)
        assert "\n" not in text
        assert "  " not in text
        assert len(text) < 250
    for name in ("SHOWN_NOT_FELT", "AI_ACT", "DRAWN"):
        assert getattr(notices, name).endswith(".")
    assert notices.SHOWN_NOT_FELT.startswith("A shown expression is not a felt emotion")


def test_who_has_no_model_is_told_a_recipe_that_is_there() -> None:
    (recipe,) = re.findall(r"dfer train (\S+)", notices.NO_MODEL)
    assert (Path(__file__).parents[1] / "src/dfer/recipes" / f"{recipe}.yaml").is_file()
    assert "--model runs/mine" in notices.NO_MODEL
    assert "--out runs/mine" in notices.NO_MODEL
