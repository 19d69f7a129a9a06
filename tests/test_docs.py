"""Every block of the README and the docs is run or, where it is a command line, parsed."""

import re
import shlex
from pathlib import Path

import pytest

from dfer import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}", match[2])
        for page in PAGES
        for text in [page.read_text()]
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def commands() -> list[tuple[str, str]]:
    return [
        (where, line.split("  #")[0].strip())
        for where, block in blocks("bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]


def test_there_are_pages_and_blocks() -> None:
    assert len(PAGES) >= 4
    assert blocks("python")
    assert commands()


@pytest.mark.parametrize(("where", "code"), blocks("python"))
def test_python_block_runs(where: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFER_CACHE", str(tmp_path / "cache"))
    exec(compile(code, where, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(("where", "line"), commands())
def test_command_line_is_one_of_ours(where: str, line: str) -> None:
    words = [word for word in shlex.split(line) if "=" not in word or word.startswith("-")]
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert all(re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE) for word in words[1:])
    elif words[0] == "dfer":
        command, bound, _ = cli.build_app().parse_args(words[1:], exit_on_error=False, print_error=False)
        assert callable(command), where
        assert bound is not None
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), where
    else:
        assert words[0] in {"git", "cd", "pip"}, f"{where}: what is {words[0]}?"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_blocks_have_a_known_language() -> None:
    known = {"python", "bash", "text", "yaml"}
    found = {match[1] for page in PAGES for match in BLOCK.finditer(page.read_text())}
    assert found <= known, found - known
