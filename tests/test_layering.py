"""Imports run one way: a package imports only from those that stand above it."""

import ast
from pathlib import Path

import pytest

import kullback

ROOT = Path(kullback.__file__).parent

# From the first to the last, as CONTRIBUTING lists them; a package may import itself and those before it.
ORDER = (
    "_version",
    "errors",
    "engines",
    "numerics",
    "gaussians",
    "interop",
    "pairs",
    "kernels",
    "divergences",
    "all_pairs",
    "losses",
    "estimate",
    "approximations",
    "alignment",
    "io",
    "jobs",
    "comparison",
    "metrics",
    "explanation",
    "cli",
    "__main__",
)


def imports(path: Path) -> set[str]:
    """Every module of kullback that a file imports, at its top or inside a function; not for type checkers alone."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name.startswith("kullback"))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kullback"):
            package = ROOT.joinpath(*node.module.split(".")[1:])
            for alias in node.names:
                is_module = (package / alias.name).is_dir() or (package / f"{alias.name}.py").exists()
                found.add(f"{node.module}.{alias.name}" if is_module else node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def layer(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def test_every_package_has_its_place_in_the_order():
    assert {layer(path.relative_to(ROOT).parts) for path in FILES} == set(ORDER)
    loose = {path.name for path in ROOT.glob("*.py")}
    assert loose == {"__init__.py", "__main__.py", "_version.py", "errors.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_before_it(path):
    own = ORDER.index(layer(path.relative_to(ROOT).parts))
    for name in imports(path):
        assert name != "kullback", "the package imports its modules, lazily; no module imports the package"
        assert ORDER.index(name.split(".")[1]) <= own, f"{path.relative_to(ROOT)} imports {name}"


def test_no_two_modules_import_each_other():
    names = {
        ".".join(("kullback", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in FILES
    }
    arrows = {name: imports(path) & names.keys() - {name} for name, path in names.items()}
    done: set[str] = set()

    def follow(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " imports ".join((*above[above.index(name) :], name))
        if name not in done:
            for other in arrows[name]:
                follow(other, (*above, name))
            done.add(name)

    for name in names:
        follow(name, ())
    assert sum(map(len, arrows.values())) > 100


HEAVY = {"matplotlib", "pyarrow", "scipy", "jinja2", "rich", "safetensors"}
# What draws, and is imported when something is drawn.
ALLOWED = {"figures", "html", "images", "input_figures", "several_figures", "several_html", "style", "svg", "terminal"}


LIGHT = [path for path in FILES if path not in {ROOT / "comparison" / "report" / f"{name}.py" for name in ALLOWED}]


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path):
    top = ast.parse(path.read_text(encoding="utf-8")).body
    names = {alias.name.split(".")[0] for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
    assert not names & HEAVY


def test_only_one_module_asks_the_internals_of_torch():
    private = [path for path in FILES if "torch._C" in path.read_text(encoding="utf-8")]
    assert [str(path.relative_to(ROOT)) for path in private] == ["numerics/guard.py"]
