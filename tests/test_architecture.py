"""The tree explains itself: layers, sizes of functions, kernels that know arrays only, light imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "mirific").rglob("*.py"))


def _functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _length(function: ast.FunctionDef) -> int:
    """Lines of a function, its docstring aside."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    doc = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - doc


def test_imports_follow_the_layers():
    result = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_nine_functions_of_ten_are_short():
    lengths = [_length(function) for path in SOURCES for function in _functions(path)]
    assert sum(length <= 30 for length in lengths) >= 0.9 * len(lengths)


def test_files_in_fits_are_opened_by_those_who_do_not_believe_their_headers():
    """What ``astropy`` makes of a header that promises too much takes hours, or all memory."""
    believers = [
        path
        for path in SOURCES
        if path.relative_to(ROOT / "src" / "mirific").parts[0] not in {"fits_files", "io", "simulate"}
        and re.search(r"astropy\.io(\.fits| import .*\bfits\b)", path.read_text(encoding="utf-8"))
    ]
    assert not believers


def test_one_name_is_one_thing():
    names = [
        node.name
        for path in SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    assert [name for name, times in Counter(names).items() if times > 1] == []


@pytest.mark.parametrize("name", ["utils", "helpers", "misc", "common"])
def test_no_drawers(name):
    assert not [path for path in SOURCES if path.stem == name]


def test_compiled_kernels_import_arrays_and_numbers_only():
    allowed = {"__future__", "typing", "numpy", "numba", "math", "heapq"}
    for path in SOURCES:
        if "kernels" not in path.stem:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        outside = {module for module in modules if module.split(".")[0] not in allowed and "kernels" not in module}
        assert not outside, f"{path.name} imports {outside}"


def test_private_names_of_the_official_packages_are_left_alone():
    official = {"jwst", "stcal", "stpipe", "stdatamodels", "crds"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in official:
                parts = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert not [part for part in parts if part.startswith("_")], f"{path.name}: {node.module}"


@pytest.mark.parametrize("module", ["mirific", "mirific.cli"])
def test_import_is_light(module):
    """What takes seconds to import is loaded when it is needed."""
    heavy = ("jwst", "stdatamodels", "gwcs", "photutils", "matplotlib", "numba", "scipy", "astropy")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
