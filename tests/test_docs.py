"""Every page of the documentation runs, and prints and raises what it says.

The ```python blocks of a page run as one script in a new interpreter, on the lines that they have
in the page. Two kinds of comment are checked:

    print(expression)  # the line that it prints

and, at the end of a block, the error that the block raises, on one or several lines:

    # NameOfTheError: its message

The lines of a ```text block that follows a ```python block are what that block prints last, such as
a table. In all of them, `...` stands for anything.
"""

import os
import re
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from textwrap import indent

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
RAISED = re.compile(r"^# [A-Z]\w+: .*\n(?:# .*\n)*\Z", re.MULTILINE)


def script(page: str) -> str:
    """The blocks of a page as a script with the page's line numbers."""
    source, end = "", 0
    for block in BLOCK.finditer(page):
        source += "\n" * page.count("\n", end, block.start()) + guarded(block[1])
        end = block.end(1) + len("```")
    return source


def guarded(block: str) -> str:
    """A block with a line for its fence. If the page says that it raises, its error is printed."""
    if not RAISED.search(block):
        return "\n" + block
    report = "print(type(error).__name__ + ':', ' '.join(str(error).split()))"
    return f"try:\n{indent(block, '    ')}except Exception as error: {report}"


def claims(page: str) -> list[str]:
    """What a page says that its blocks print or raise, in order."""
    found = []
    for block, table in BLOCK.findall(page):
        found += [*PRINTED.findall(block), *table.splitlines()]
        if error := RAISED.search(block):
            found.append(" ".join(line.removeprefix("# ") for line in error[0].splitlines()))
    return found


def outcome(page: str, folder: Path) -> list[str]:
    """What the blocks of a page print, line by line."""
    file = folder / "page.py"
    file.write_text(script(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def holds(claim: str, line: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, claim.split("..."))), line) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_prints_and_raises_what_it_says(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    for claim, line in zip_longest(claims(text), outcome(text, tmp_path), fillvalue=""):
        assert holds(claim, line), f"{page.name} says {claim!r}, not {line!r}"


def test_a_false_claim_of_a_page_is_found(tmp_path):
    page = (
        "A page.\n\n```python\nprint(1 + 1)  # 3\nprint(2)  # 2\n```\n"
        "```python\nint('x')\n# ValueError: invalid literal ...\n```\n"
        "```python\nint('x')\n# TypeError: no such thing,\n# on two lines\n```\n"
        "```python\nprint('a\\n\\nb')\n```\n\n```text\na\n\nc\n```\n"
    )
    both = zip(claims(page), outcome(page, tmp_path), strict=True)
    found = [holds(claim, line) for claim, line in both]
    assert found == [False, True, True, False, True, True, False]


def test_an_error_in_a_page_shows_the_line_of_the_page(tmp_path):
    with pytest.raises(AssertionError, match="line 5"):
        outcome("A page.\n\n```python\nx = 1\nx.y\n```\n", tmp_path)


def test_the_first_steps_are_the_opening_of_the_readme():
    opening = BLOCK.search(PAGES[0].read_text(encoding="utf-8"))
    example = (ROOT / "examples" / "first_steps.py").read_text(encoding="utf-8")
    assert opening
    assert example.endswith(f'"""\n\n{opening[1]}')


def anchors(page: Path) -> set[str]:
    """What a link to a heading of a page may say after the #."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    prose = re.sub(r"^    .*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for target in re.findall(r"\]\(([^):]+)\)", prose):
        file, _, anchor = target.partition("#")
        aim = page.parent / file if file else page
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target
