"""The house keeps its rules: rooms, sizes, purity, words, reasons, and nothing of one machine or registry in it."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("schemas", "topics", "edge_control", "streams", "edge_emitters", "edge_executors", "edgeweir")
PURE = ("schemas", "edge_control")
ROOMS = {*FLOORS, "docker", "tools", "tests", "benchmarks", "docs", ".ci"}
DOORSTEP = {
    "README.md", "ARCHITECTURE.md", "Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock",
    ".gitignore", ".gitattributes", ".dockerignore",
}  # fmt: skip
INSIDE = {
    "edge_control": {"inventory", "policies", "controllers"},
    "edge_executors": {"targets"},
    "edgeweir": {"bench", "cli", "console", "dev", "lab"},
    "schemas": {"dialects"},
    "streams": {"engine"},
    "topics": set(),
}
BANNED_IMPORTS = {
    "aiohttp", "aiokafka", "asyncio", "faust", "logging", "mode", "multiprocessing", "os", "prometheus_client",
    "random", "secrets", "socket", "structlog", "subprocess", "threading", "time",
}  # fmt: skip
BANNED_CALLS = {"uuid1", "uuid4", "now", "utcnow", "today", "urandom", "getrandbits"}
FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES = 300, 400, 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[str, ...]:
    """Files of the repository: known to git or about to be."""
    if not (ROOT / ".git").exists():
        return _unpacked()
    ask = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted(name for name in names if name and (ROOT / name).is_file()))


def _unpacked() -> tuple[str, ...]:
    """Files of a tree that came without git, less what make and the tools put there."""
    made = re.compile(r"(^|/)(\.venv|\.tools|\.\w+_cache|\.hypothesis|__pycache__|dist|build|node_modules)/")
    names = (str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file())
    return tuple(sorted(name for name in names if not made.search(name)))


def python_files(*rooms: str) -> list[str]:
    """Tracked Python files under these rooms; all of them when none is named."""
    return [n for n in tracked() if n.endswith(".py") and (not rooms or n.split("/")[0] in rooms)]


@cache
def text_of(name: str) -> str:
    """A file's text; empty for what is no text."""
    try:
        return (ROOT / name).read_text("utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def tree_of(name: str) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(text_of(name), name)


def functions(name: str) -> Iterator[Function]:
    """Every function of a file, inner ones too."""
    return (n for n in ast.walk(tree_of(name)) if isinstance(n, Function))


def body_lines(node: Function) -> int:
    """Lines of a function without its docstring: explaining more is never punished."""
    assert node.end_lineno is not None
    docstring = node.body[0] if ast.get_docstring(node) is not None else None
    spared = docstring.end_lineno - docstring.lineno + 1 if docstring and docstring.end_lineno else 0
    return node.end_lineno - node.lineno + 1 - spared


def faults(found: Iterator[str]) -> str:
    """All that is wrong, one a line: who mends it should not need five runs."""
    return "\n".join(sorted(found))


def test_the_top_level_holds_the_rooms_of_the_plan_and_nothing_else() -> None:
    top = {name.split("/")[0] for name in tracked()}
    assert top <= ROOMS | DOORSTEP, f"unplanned: {sorted(top - ROOMS - DOORSTEP)}"
    assert set(FLOORS) <= top


@pytest.mark.parametrize("floor", sorted(INSIDE))
def test_a_floor_holds_only_its_planned_rooms(floor: str) -> None:
    inside = {n.split("/")[1] for n in python_files(floor) if n.count("/") > 1}
    assert inside <= INSIDE[floor], f"unplanned in {floor}: {sorted(inside - INSIDE[floor])}"


def test_every_room_of_a_floor_is_a_package() -> None:
    rooms = {str(Path(n).parent) for n in python_files(*FLOORS)}
    assert not [r for r in sorted(rooms) if not (ROOT / r / "__init__.py").is_file()]


def test_no_python_file_shadows_the_docker_sdk() -> None:
    assert not python_files("docker")


def test_tests_are_no_package() -> None:
    assert not [n for n in python_files("tests") if n.endswith("__init__.py")]


def test_files_stay_readable_in_one_sitting() -> None:
    def long() -> Iterator[str]:
        for name in python_files():
            limit = TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES
            lines = len(text_of(name).splitlines())
            if lines > limit:
                yield f"{name}: {lines} lines, limit {limit}"

    assert not (found := faults(long())), found


def test_functions_fit_on_a_screen() -> None:
    def long() -> Iterator[str]:
        for name in python_files():
            for node in functions(name):
                if body_lines(node) > FUNCTION_LINES:
                    yield f"{name}:{node.lineno} {node.name}: {body_lines(node)} lines, limit {FUNCTION_LINES}"

    assert not (found := faults(long())), found


def test_every_module_says_what_it_is_for() -> None:
    silent = (name for name in python_files() if not ast.get_docstring(tree_of(name)))
    assert not (found := faults(silent)), found


def test_public_things_have_a_docstring() -> None:
    def silent() -> Iterator[str]:
        for name in python_files(*FLOORS):
            for body in (tree_of(name).body, *(c.body for c in _public_classes(tree_of(name)))):
                for node in body:
                    if isinstance(node, Function | ast.ClassDef) and _owes_docstring(node):
                        yield f"{name}:{node.lineno} {node.name}"

    assert not (found := faults(silent())), found


def _public_classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]


def _owes_docstring(node: Function | ast.ClassDef) -> bool:
    overloads = {getattr(d, "id", getattr(d, "attr", "")) for d in node.decorator_list}
    excused = overloads & {"overload", "override", "setter"}
    return not (node.name.startswith("_") or excused or ast.get_docstring(node))


@pytest.mark.parametrize("name", python_files(*PURE))
def test_a_pure_floor_neither_waits_nor_reaches_out(name: str) -> None:
    for node in ast.walk(tree_of(name)):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith), where
        assert not (taken := _imported(node) & BANNED_IMPORTS), f"{where} imports {taken}"
        assert _called(node) not in BANNED_CALLS, f"{where} asks a clock or chance: {_called(node)}"


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").split(".")[0]}
    return set()


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


@pytest.mark.parametrize("name", python_files("edge_control"))
def test_the_mind_catches_nothing(name: str) -> None:
    caught = [n.lineno for n in ast.walk(tree_of(name)) if isinstance(n, ast.Try)]
    assert not caught, f"{name}: lines {caught}: bad input is the shell's matter, a broken invariant must crash"


def test_topic_names_are_spelled_in_the_catalogue_alone() -> None:
    topic = re.compile(r"\bedge(\.[a-z][a-z-]*)+\.v\d+\b")

    def spelled() -> Iterator[str]:
        for name in python_files(*FLOORS, "tools", "benchmarks"):
            if name != "topics/catalogue.py":
                for line, value in _plain_strings(tree_of(name)):
                    if hit := topic.search(value):
                        yield f"{name}:{line} {hit[0]}"

    assert not (found := faults(spelled())), found


def _plain_strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and values of string constants that are values: docstrings may speak of topics."""
    speech = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in speech:
            yield node.lineno, node.value


def test_every_silenced_checker_carries_its_reason() -> None:
    silenced = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore|pragma:\s*no cover)(.*)$")
    codes = re.compile(r"^(:\s*[A-Z]+\d+([,\s]+[A-Z]+\d+)*|\[[\w\-, ]+\])?")

    def bare() -> Iterator[str]:
        for name in python_files():
            for number, line in enumerate(text_of(name).splitlines(), 1):
                hit = silenced.search(line)
                if hit and name != "tests/test_house.py" and len(re.findall(r"\w+", codes.sub("", hit[2]))) < 2:
                    yield f"{name}:{number} {line.strip()}"

    assert not (found := faults(bare())), found


def test_every_lint_exception_of_the_project_carries_its_reason() -> None:
    lint = text_of("pyproject.toml").split("[tool.ruff.lint]")[1].split("[tool.ruff.lint.pydocstyle]")[0]
    bare = [line for line in lint.splitlines() if re.match(r'\s+"[A-Z]+\d*",\s*$', line)]
    assert not bare, bare


def test_names_say_what_a_thing_is() -> None:
    vague_class, vague_function = re.compile(r"Manager|Helper"), re.compile(r"^_?(process|handle)_")
    vague_file = re.compile(r"(^|_)(utils?|helpers?|misc|common)\.py$")

    def vague() -> Iterator[str]:
        for name in python_files(*FLOORS):
            if vague_file.search(Path(name).name):
                yield name
            for node in ast.walk(tree_of(name)):
                if isinstance(node, ast.ClassDef) and vague_class.search(node.name):
                    yield f"{name}:{node.lineno} {node.name}"
                if isinstance(node, Function) and vague_function.search(node.name):
                    yield f"{name}:{node.lineno} {node.name}"

    assert not (found := faults(vague())), found


def test_no_package_source_and_no_path_of_one_machine_is_written_down() -> None:
    # Escaped dots and bracketed slashes keep these patterns from finding themselves.
    source = re.compile(
        r"pypi\.org|pythonhosted\.org|registry\.npmjs|repo1?\.maven|repo\.maven|maven\.org|proxy\.golang|deb\.debian"
        r"|security\.debian|crates\.io|conda\.anaconda|[/](work|root|tmp/ew|opt/wheels)[/]|[/]home[/][a-z]+[/]",
    )

    def leaks() -> Iterator[str]:
        for name in tracked():
            for number, line in enumerate(text_of(name).splitlines(), 1):
                if not name.startswith("edgeweir/console/static/") and (hit := source.search(line)):
                    yield f"{name}:{number} {hit[0]}"

    assert not (found := faults(leaks())), found
