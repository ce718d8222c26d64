"""The rules of ARCHITECTURE.md that a syntax tree can tell."""

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "vrestore").rglob("*.py"))
}

NEIGHBOURS = {"io", "ops", "models", "runtime"}
LAYERS = (
    {"media", "errors", "notes", "limits", "shortage"},
    NEIGHBOURS,
    {
        "assembly",
        "chain",
        "describe",
        "devicepath",
        "fieldplan",
        "diagnose",
        "jobs",
        "json_form",
        "observing",
        "planning",
        "plantext",
        "preset",
        "progress",
        "report",
        "review",
        "sections",
        "setting_type",
        "shotlist",
        "stillplan",
        "memoryplan",
        "stills",
        "survey",
        "treatments",
        "train",
    },
    {"wiring", "bench", "forecast", "checks"},
    {"", "cli", "commands", "display", "__main__"},
)
"""Parts of the package, inner first; the empty name is `vrestore` itself, the Python API."""

ONLY_IN = {
    "av": ("vrestore.io", "vrestore.train"),
    "numba": ("vrestore.models.compiled",),
    "ffmpeg": ("vrestore.io", "vrestore.review", "vrestore.train"),
    "rich": ("vrestore.cli", "vrestore.display"),
    "typer": ("vrestore.cli", "vrestore.commands", "vrestore.train.command"),
    "threading": ("vrestore.runtime",),
    "tomllib": (
        "vrestore.preset",
        "vrestore.models.registry",
        "vrestore.shotlist",
        "vrestore.train.manifest",
    ),
}
"""Library -> where it may be imported."""

ONLY_WITH = {"triton", "numba"}
"""Libraries without which some modules cannot be imported, and are not."""

LONGEST_MODULE = 500
"""Lines.  Some 250 are comfortable; past this a module is more than one thing."""

COMMANDS = {"vrestore.cli", "vrestore.train.command"}
"""Modules whose functions are commands, known to the command line and not by import."""

NOT_YET_IMPORTED: set[str] = set()
"""Dependencies of the rim (metrics, oracles) that only tests use so far."""


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def walk(module: str) -> Iterator[ast.AST]:
    return ast.walk(tree(module))


@cache
def imports(module: str) -> frozenset[str]:
    """Full names of everything a module imports anywhere, but for type checking alone."""
    unread = {
        inner
        for node in walk(module)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in walk(module):
        if node in unread:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def calls(module: str) -> set[str]:
    return {
        node.func.id
        for node in walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def part(name: str) -> str:
    """The first name below the package: `io` for vrestore.io.decode."""
    return name.split(".")[1] if "." in name else ""


def layer(name: str) -> int:
    """Position in LAYERS; what is no part is a name that `vrestore` itself exports."""
    places = (i for i, names in enumerate(LAYERS) if part(name) in names)
    return next(places, len(LAYERS) - 1)


def test_every_module_has_a_place_in_the_layers():
    known = set().union(*LAYERS)
    assert {part(module) for module in MODULES} - known == set()


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        for name in imports(module)
        if name.startswith("vrestore") and part(name) != part(module)
        if layer(name) > layer(module) or (part(name) in NEIGHBOURS and part(module) in NEIGHBOURS)
    ]
    assert wrong == []


def test_libraries_stay_in_their_places():
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        for name in imports(module)
        if name.split(".")[0] in ONLY_IN
        and not f"{module}.".startswith(tuple(f"{place}." for place in ONLY_IN[name.split(".")[0]]))
    ]
    assert wrong == []


def test_ops_know_nothing_of_files_or_codecs():
    foreign = {"os", "io", "pathlib", "queue", "subprocess", "concurrent"}
    ops = [module for module in MODULES if part(module) == "ops"]
    assert [m for m in ops if {name.split(".")[0] for name in imports(m)} & foreign] == []
    assert [m for m in ops if "open" in calls(m)] == []


def test_nothing_is_printed_but_by_the_command_line():
    face = LAYERS[-1]
    assert [m for m in MODULES if part(m) not in face and "print" in calls(m)] == []


def test_no_exception_is_caught_without_a_name():
    assert [
        f"{module}:{node.lineno}"
        for module in MODULES
        for node in walk(module)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ] == []


def test_no_thread_is_a_daemon():
    assert [
        module
        for module in MODULES
        for node in walk(module)
        if isinstance(node, ast.keyword) and node.arg == "daemon"
        if not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ] == []


def test_every_module_says_in_a_docstring_what_it_is():
    assert [module for module in MODULES if not ast.get_docstring(tree(module))] == []


def test_no_module_is_too_long():
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {m: lines for m, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_no_catch_all_module_exists():
    assert {"utils", "util", "helpers", "misc", "common"} & {p.stem for p in MODULES.values()} == (
        set()
    )


def test_no_work_is_postponed_in_a_comment():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [module for module, path in MODULES.items() if marks.search(path.read_text())] == []


def test_declared_exports_are_the_public_names():
    """Where a module has `__all__`, it is complete; commands are public to the command line."""
    wrong = {}
    for module in MODULES:
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError as missing:
            assert missing.name in ONLY_WITH, module
            continue
        exported = getattr(loaded, "__all__", None)
        if exported is None or module in COMMANDS or part(module) == "commands":
            continue
        public = {
            node.name
            for node in tree(module).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        }
        missing = {name for name in exported if not hasattr(loaded, name)}
        if missing or public - set(exported):
            wrong[module] = sorted(missing | (public - set(exported)))
    assert wrong == {}


def test_every_import_is_a_declared_dependency_and_every_dependency_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {importable(line) for line in project["dependencies"]}
    extras = {
        importable(line) for lines in project["optional-dependencies"].values() for line in lines
    }
    used = {name.split(".")[0] for module in MODULES for name in imports(module)}
    assert used - sys.stdlib_module_names - {"vrestore"} - core - extras == set()
    assert core - used == NOT_YET_IMPORTED


def importable(requirement: str) -> str:
    """The module that a requirement installs."""
    names = {"pillow": "PIL", "ffmpeg-python": "ffmpeg"}
    name = re.split(r"[<>=;]", requirement)[0]
    return names.get(name, name.replace("-", "_"))
