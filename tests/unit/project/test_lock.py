"""The locks: what they pin, that nothing is missing, and what they must not tell."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from unit.project.lock_walk import ENTRY, Pin, Walk, read_installed, read_pins, walk_lock

ROOT = Path(__file__).parents[3]
RUNNING, DEVELOPING = "requirements.lock", "requirements-dev.lock"
LOCKS = (RUNNING, DEVELOPING)
PEERS = "requirements-peers.lock"
ALL_LOCKS = (*LOCKS, PEERS)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNNING_ROOTS = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["dependency-groups"]["build"],
    *PROJECT["project"]["dependencies"],
]
DEVELOPING_ROOTS = [*RUNNING_ROOTS, *PROJECT["project"]["optional-dependencies"]["dev"]]
ROOTS = {RUNNING: RUNNING_ROOTS, DEVELOPING: DEVELOPING_ROOTS}
PINS = {name: read_pins(ROOT / name) for name in ALL_LOCKS}
HERE = {name: str(value) for name, value in default_environment().items()}
ENVIRONMENTS = [
    {**HERE, "python_version": version, "python_full_version": f"{version}.1", "sys_platform": platform,
     "platform_system": system, "os_name": os_name}
    for version in ("3.11", "3.12", "3.13")
    for platform, system, os_name in (("linux", "Linux", "posix"), ("darwin", "Darwin", "posix"),
                                      ("win32", "Windows", "nt"))
]  # fmt: skip
OTHER_EXTRAS = ("search", "dask", "parquet")

# What stands in for an index: pytest-cov asks for coverage with an extra, which adds a package of its own.
STATED = {
    ("pytest-cov", "7"): ["coverage[toml]>=7.10"],
    ("coverage", "7.17"): ["tomli>=2; extra == 'toml'", "docs-only; extra == 'docs'"],
    ("tomli", "2.1"): ["exceptions; python_version < '3.11'"],
}
SMALL_LOCK = [Pin("pytest-cov", "7"), Pin("coverage", "7.17"), Pin("tomli", "2.1")]


def walk_small(pins: list[Pin]) -> Walk:
    return walk_lock(["pytest-cov>=5"], pins, HERE, lambda name, version: STATED.get((name, version)))


def test_a_requirement_behind_an_extra_is_followed_and_one_behind_another_is_not() -> None:
    walk = walk_small(SMALL_LOCK)
    assert (walk.gaps, walk.needed, walk.unknown) == ([], set(SMALL_LOCK), set())


def test_a_package_that_only_an_extra_requires_is_missed() -> None:
    assert walk_small(SMALL_LOCK[:2]).gaps == [
        'coverage requires tomli>=2; extra == "toml", and locked is nothing of it'
    ]


def test_a_version_that_does_not_satisfy_an_extra_is_told() -> None:
    walk = walk_small([SMALL_LOCK[0], Pin("coverage", "7.9"), SMALL_LOCK[2]])
    assert walk.gaps == ["pytest-cov requires coverage[toml]>=7.10, and locked is 7.9"]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: f"{e['sys_platform']}-{e['python_version']}")
@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_of_every_locked_package_is_locked(lock: str, environment: dict[str, str]) -> None:
    assert walk_lock(ROOTS[lock], PINS[lock], environment).gaps == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_requirements_of_every_package_that_is_locked_here_are_known(lock: str) -> None:
    unknown = walk_lock(ROOTS[lock], PINS[lock], HERE).unknown
    assert {pin.name for pin in unknown} == set(), "`make develop` installs the versions that are locked"


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_is_locked_that_nothing_requires(lock: str) -> None:
    walks = [walk_lock(ROOTS[lock], PINS[lock], environment) for environment in ENVIRONMENTS]
    assert set(PINS[lock]) - set[Pin]().union(*(walk.needed for walk in walks)) == set()


def test_what_developing_needs_includes_what_running_needs_in_the_same_versions() -> None:
    assert set(PINS[RUNNING]) < set(PINS[DEVELOPING])


@pytest.mark.parametrize("extra", OTHER_EXTRAS)
def test_what_an_extra_needs_is_locked_for_developing_alone(extra: str) -> None:
    (text,) = PROJECT["project"]["optional-dependencies"][extra]
    name = canonicalize_name(Requirement(text).name)
    assert [name in {pin.name for pin in PINS[lock]} for lock in LOCKS] == [False, True]
    assert walk_lock([text], PINS[DEVELOPING], HERE).gaps == []


def test_the_build_requirement_is_that_of_the_build_system() -> None:
    assert set(PROJECT["build-system"]["requires"]) < set(PROJECT["dependency-groups"]["build"])


def test_what_results_are_compared_with_is_pinned_in_the_versions_of_developing_where_both_need_it() -> None:
    pinned = {pin.name for pin in PINS[PEERS]}
    assert {canonicalize_name(Requirement(text).name) for text in PROJECT["dependency-groups"]["peers"]} <= pinned
    versions = {name: {pin.version for pin in PINS[DEVELOPING] if pin.name == name} for name in pinned}
    ours = {name: {pin.version for pin in PINS[PEERS] if pin.name == name} for name in pinned}
    assert {name: ours[name] for name in pinned if versions[name] and not ours[name] <= versions[name]} == {}


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_a_lock_holds_no_address(lock: str) -> None:
    words = (ROOT / lock).read_text(encoding="utf-8").split()
    marks = ("://", "--index", "--extra-index", "--find-links", "--trusted", "@")
    assert [word for word in words if any(mark in word for mark in marks)] == []


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_every_entry_of_a_lock_has_an_exact_version_and_hashes(lock: str) -> None:
    rest = ENTRY.sub("", (ROOT / lock).read_text(encoding="utf-8"))
    assert [line for line in rest.splitlines() if line.strip() and not line.strip().startswith("#")] == []
    assert len(PINS[lock]) > 20


def test_an_installed_package_of_another_version_is_not_taken_for_the_locked_one() -> None:
    assert read_installed("click", "0.1") is None
    assert read_installed("no-such-package", "1") is None
