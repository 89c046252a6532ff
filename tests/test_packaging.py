"""What is shipped and what it stands on: the wheel's content, and locks that agree and hold no address."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
Pins = dict[str, set[str]]


def project() -> dict[str, object]:
    """The project's own table."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert isinstance(table, dict)
    return table


def pins(lock: str) -> Pins:
    """Versions of a lock by name; two of one name differ by their markers."""
    found: Pins = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def wanted(*extras: str) -> list[Requirement]:
    """Direct requirements: the core's and those of these extras."""
    table = project()
    core, optional = table["dependencies"], table["optional-dependencies"]
    assert isinstance(core, list)
    assert isinstance(optional, dict)
    return [Requirement(line) for line in (*core, *(line for extra in extras for line in optional[extra]))]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("edgeweir-*.whl")
    return zipfile.ZipFile(path).namelist()


def test_the_wheel_holds_the_seven_packages_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel if ".dist-info" not in name}
    assert tops == {"schemas", "topics", "edge_control", "streams", "edge_emitters", "edge_executors", "edgeweir"}


def test_the_wheel_holds_the_built_console_and_the_list_of_jars_but_no_sources_of_the_console(
    wheel: list[str],
) -> None:
    shipped = [*(ROOT / "edgeweir/console/static").rglob("*"), *(ROOT / "edgeweir/dev").glob("*.lock")]
    names = {str(path.relative_to(ROOT)) for path in shipped if path.is_file()}
    assert names <= set(wheel)
    assert not [name for name in wheel if name.startswith("edgeweir/console/web/")]


def test_the_package_cannot_be_uploaded_by_mistake() -> None:
    classifiers = project()["classifiers"]
    assert isinstance(classifiers, list)
    assert "Private :: Do Not Upload" in classifiers


def test_the_two_locks_agree_on_every_version() -> None:
    shipped, developed = pins(LOCKS[0]), pins(LOCKS[1])
    assert not {n: (v, developed.get(n)) for n, v in shipped.items() if v != developed.get(n)}
    assert len(shipped) > 40


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert not [b.splitlines()[0] for b in blocks if "--hash=sha256:" not in b]
    assert not re.search(r"://|--index-url|--find-links|^\s*-[ief]\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [(LOCKS[0], ("kafka", "drivers")), (LOCKS[1], ("kafka", "drivers", "otel", "lab"))],
)
def test_a_lock_satisfies_what_the_project_asks_for(lock: str, extras: tuple[str, ...]) -> None:
    locked = pins(lock)
    missing = [
        str(r) for r in wanted(*extras)
        if not any(r.specifier.contains(v) for v in locked.get(r.name.lower(), set()))
    ]  # fmt: skip
    assert not missing, f"run make lock: {missing}"


def test_the_data_planes_three_libraries_move_only_on_purpose() -> None:
    exact = {str(r) for r in wanted() if str(r.specifier).startswith("==")}
    assert exact == {"faust-streaming==0.15.3", "aiokafka==0.14.0", "mode-streaming==0.7.1"}
