"""What the texts name is there: commands, their options, parameters of steps, names of metadata."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirific.cli import main
from mirific.cli.app import commands, mirific
from mirific.errors import InputError
from mirific.io.headers import check_values
from mirific.issues import ISSUES, SLUGS
from mirific.pipeline.steps import StepsByName
from mirific.step import parameters_of

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src" / "mirific").rglob("*.py"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

#: Words that follow the name of the package where it is the subject of a sentence, not a command.
VERBS = {
    "and", "asks", "beside", "cannot", "deviates", "did", "does", "explains", "finds", "from", "goes", "has",
    "here", "imaging", "imports", "in", "is", "keeps", "knows", "looks", "on", "once", "or", "reads", "runs",
    "says", "speaks", "still", "takes", "then", "to", "today", "was", "who", "will", "with", "writes", "wrote",
}  # fmt: skip

#: An option of a command line.
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

#: Commands of the benchmarks, which have options of their own.
BENCHMARK = re.compile(r"python -m benchmarks\.(\w+)([^`\n]*)")

STEPS = StepsByName()
PARAMETERS = {name: set(parameters_of(STEPS[name])) for name in STEPS}


COMMANDS = dict(commands())


def options_of(name: str) -> set[str]:
    return {word for item in COMMANDS[name].params for word in item.opts if word.startswith("-")} | {"--help", "-h"}


ALL_OPTIONS = {"--version"}.union(*map(options_of, COMMANDS))


def command_of(words: str) -> str | None:
    """The command that the words begin with."""
    return next((name for name in COMMANDS if re.match(rf"{name}(?![\w-])", words)), None)


def faults(text: str) -> list[str]:
    """What a text names that is not there."""
    said = BENCHMARK.sub("", text)
    wrong = [
        f"benchmarks.{match[1]} {option}"
        for match in BENCHMARK.finditer(text)
        for option in OPTION.findall(match[2])
        if option != "--help" and option not in (ROOT / "benchmarks" / f"{match[1]}.py").read_text(encoding="utf-8")
    ]
    for match in re.finditer(r"(?<![\w./-])mirific[ \n]+(`?)([a-z][a-z-]*|--[a-z-]+)([^`\n]*)", said):
        word, rest = match[2], match[3]
        quoted = said[: match.start()].count("`") % 2 == 1
        name = command_of(f"{word}{rest}")
        if name is None:
            if (quoted or word not in VERBS) and word not in {"--help", "--version", "import"}:
                wrong.append(f"mirific {word}")
        elif quoted or rest.strip().startswith("-"):
            of_others = set(OPTION.findall(rest)) - options_of(name)
            wrong += [f"mirific {name} {option}" for option in of_others]
    wrong += [option for option in OPTION.findall(said) if option not in ALL_OPTIONS]
    for match in re.finditer(r"--set[ =]+\"?([a-z_][\w-]*)\.([a-z_][\w.]*)(?:=|\b)", said):
        wrong += parameter_faults(match[1], match[2].rstrip("."))
    return wrong


def parameters_named(text: str) -> list[tuple[str, str]]:
    """Step and parameter wherever both are named with a dot between them."""
    named = re.findall(rf"(?<![\w./-])({'|'.join(map(re.escape, PARAMETERS))})\.([a-z_]+)(?![\w(])", text)
    return [(step, name) for step, name in named if name not in {"py", "md", "fits", "html"}]


def parameter_faults(step: str, name: str) -> list[str]:
    """What is wrong with ``--set step.name=``."""
    if step == "meta":
        try:
            check_values({name: None}, "")
        except InputError:
            return [f"--set meta.{name}"]
        return []
    return [] if step in PARAMETERS and name in PARAMETERS[step] else [f"--set {step}.{name}"]


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Every string in a module, f-strings as one with dots for what they put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            values = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
            yield node.lineno, "".join(map(str, values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def explanation(slug: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["explain", slug]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_strings_of_the_code_name_what_is_there(path):
    assert [(line, wrong) for line, text in literals(path) if (wrong := faults(text))] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_name_what_is_there(path):
    text = path.read_text(encoding="utf-8")
    assert faults(text) == []
    assert [pair for pair in parameters_named(text) if parameter_faults(*pair)] == []


@pytest.mark.parametrize("slug", SLUGS)
def test_explanations_name_what_is_there(slug, capsys):
    text = explanation(slug, capsys)
    assert faults(text) == []
    assert [pair for pair in parameters_named(text) if parameter_faults(*pair)] == []


def test_actions_and_reasons_name_parameters_that_are_there():
    texts = (text for path in SOURCES if path.parent.name == "issues" for _, text in literals(path))
    assert [pair for text in texts for pair in parameters_named(text) if parameter_faults(*pair)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_command_lines_of_pages_are_accepted(path, capsys):
    blocks = re.findall(r"^```\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in (line for block in blocks for line in block.splitlines() if line.startswith("mirific ")):
        words = shlex.split(line, comments=True)[1:]
        name = command_of(" ".join(words))
        assert name is not None, line
        given = COMMANDS[name].make_context(name, words[len(name.split()) :]).params
        assert given.get("issue") in {None, *SLUGS}, line


def test_as_many_issues_are_looked_for_as_the_texts_say():
    looked_for = [issue for issue in ISSUES if issue.looks]
    assert (len(ISSUES), len(looked_for)) == (13, 5)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## Set-up")[0]
    for text in (readme, mirific.help):
        flat = " ".join(text.split())
        assert re.search(
            "thirteen known issues .*five are looked for.*the other eight are explained", flat, re.IGNORECASE
        )
        words = flat.lower().replace("-", " ")
        for issue in looked_for:
            assert issue.slug.replace("-", " ").replace("outlier ", "") in words


@pytest.mark.parametrize(
    "text",
    [
        "`mirific wcs shift` moves it",
        "use mirific mask to do it",
        "as in `mirific\nbackground build`",
        "mirific run --colour",
        "try `mirific diagnose --parity`",
        "the option --bit",
        "--set jump.rejection=5",
        "--set meta.instrument.filer=F560W",
        "python -m benchmarks.peers --nonsense",
    ],
)
def test_what_is_not_there_is_seen(text):
    assert len(faults(text)) >= 1


def test_parameters_that_are_not_there_are_seen():
    assert [parameter_faults(*pair) for pair in parameters_named("set jump.rejection to 5")] == [
        ["--set jump.rejection"]
    ]
