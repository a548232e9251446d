"""The repository: the location of files, and the truth of its documents."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CACHES = re.compile(r"__pycache__|\.\w+_cache|\.hypothesis|\.venv|\.git|node_modules")
ALLOWED_AT_THE_TOP = {"pyproject.toml", "chat", "tests", "README.md", "LICENSE"}


def found(pattern: str = "*") -> list[Path]:
    """Return the files of the repository, as a clone has them."""
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not CACHES.fullmatch(name)]
        files += [Path(folder) / name for name in names if not CACHES.fullmatch(name)]
    return sorted(path for path in files if path.match(pattern))


def texts(pattern: str = "*") -> dict[str, str]:
    """Return the text files of the repository: path to text."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in found(pattern)
        if path.suffix not in {".png", ".gif", ".db"}
    }


def readme_command(name: str) -> str:
    """Return the command in the README between `<!-- name -->` and `<!-- /name -->`."""
    page = (ROOT / "README.md").read_text("utf-8")
    marked = re.findall(
        rf"^<!-- {name} -->\n```sh\n(.+)\n```\n<!-- /{name} -->$", page, re.MULTILINE
    )
    assert len(marked) == 1, f"the README must have one command marked {name!r}, on one line"
    return str(marked[0])


def test_top_folder_contains_only_known_files() -> None:
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert there == ALLOWED_AT_THE_TOP


# Written apart, so that this file passes its own test.
HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
PLACES = re.compile(r"(?<![\w.])/(?:work|root|home|Users)/\w|[A-Z]:\\\\?Users")


def test_files_contain_no_local_paths_or_registry_hosts() -> None:
    named = {
        path: [*(host for host in HOSTS if host in text), *PLACES.findall(text)]
        for path, text in texts().items()
    }
    assert {path: names for path, names in named.items() if names} == {}


# Written apart, as above. Each thing has one word, in US spelling.
UNUSED_WORDS = re.compile("|".join(("admin" + "istrator", "behavi" + "our")), re.IGNORECASE)


def test_files_use_one_word_and_one_spelling_for_a_thing() -> None:
    named = {path: UNUSED_WORDS.findall(text) for path, text in texts().items()}
    assert {path: words for path, words in named.items() if words} == {}


def test_text_files_end_with_one_line_break_and_have_no_trailing_blanks() -> None:
    untidy = [
        path
        for path, text in texts().items()
        if "\r" in text
        or (text and (not text.endswith("\n") or text.endswith("\n\n")))
        or (not path.endswith(".svg") and re.search(r"[ \t]$", text, re.MULTILINE))
    ]
    assert untidy == []


def test_every_module_has_a_docstring() -> None:
    silent = [
        path for path, code in texts("*.py").items() if not ast.get_docstring(ast.parse(code))
    ]
    assert silent == []


def replaced_constants(code: str) -> list[str]:
    """Return the names that a test replaces in a module of `chat`, as `module.NAME`."""
    tree = ast.parse(code)
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "chat"
        for alias in node.names
        if alias.name.islower()
    }
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "monkeypatch.setattr"):
            continue
        target, *name = (ast.unparse(each).strip("'") for each in node.args[:-1])
        if target in modules or target.startswith("chat."):
            found.append(".".join([target, *name]))
    return found


def test_tests_pass_parameters_instead_of_replacing_constants() -> None:
    replaced = {path: replaced_constants(code) for path, code in texts("test*.py").items()}
    replaced |= {path: replaced_constants(code) for path, code in texts("conftest.py").items()}
    assert {path: names for path, names in replaced.items() if names} == {}


@pytest.mark.parametrize("name", ["run", "test"])
def test_ci_runs_the_readmes_commands_and_not_its_own(name: str) -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert f"$(readme_command {name})" in script
    assert readme_command(name) not in script
    # The tests that need a database server are not among those of the README's command.
    assert "pytest" not in script.replace("pytest -q -m 'postgresql or cluster'", "")


def test_ci_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_commands_need_nothing_but_python_and_pip() -> None:
    for name in ("run", "test"):
        steps = readme_command(name).split(" && ")
        assert steps[0] == "python3 -m venv .venv"
        assert all(step.startswith(".venv/bin/") for step in steps[1:])


def test_every_supported_python_is_declared_and_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        line.rpartition(" ")[2]
        for line in project["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
    }
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    tried = re.findall(r'"(3\.\d+)"', workflow)
    assert declared == set(tried)
    assert project["requires-python"] == f">={tried[0]}"


def test_every_dependency_has_a_comment() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    block = text.split("\ndependencies = [\n")[1].split("\n]\n")[0]
    for line in block.splitlines():
        assert re.search(r'",\s+# \w', line), line
