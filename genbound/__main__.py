"""The command line: build the book, run one chapter or a whole sweep, show what came of it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genbound.book import BookError, Built, ParameterError, build, run, tables
from genbound.book.build import chapters
from genbound.book.chapters import Chapter, read_chapter
from genbound.book.parameters import parse, unknown
from genbound.study import command

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words after the program's name; those of the process unless given.

    Returns:
        The exit status: 0, or 1 for a failure, 2 for bad input, 130 for an interruption.
    """
    given = _parser().parse_args(arguments)
    try:
        given.command(given)
    except (ParameterError, OSError) as error:
        print(f"genbound: {error}", file=sys.stderr)
        return BAD_INPUT
    except BookError as error:
        print(f"genbound: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("genbound: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genbound", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    building = commands.add_parser("build", help="execute what changed and render the site")
    building.add_argument(
        "-p", action="append", default=[], metavar="CHAPTER.NAME=VALUE", help="set a parameter"
    )
    building.add_argument("--profile", help="parameters: a name in book/profiles, or a YAML file")
    building.add_argument("--jobs", type=_count, default=2, help="chapters at once (default 2)")
    building.add_argument("--force", action="store_true", help="run every chapter")
    building.set_defaults(command=_build)

    running = commands.add_parser("run", help="run one chapter and keep the notebook")
    running.add_argument("chapter", type=Path)
    running.add_argument(
        "-p", action="append", default=[], metavar="NAME=VALUE", help="set a parameter"
    )
    running.add_argument("--out", type=Path, help="the notebook (default runs/CHAPTER.ipynb)")
    running.set_defaults(command=_run)

    keeping = commands.add_parser("results", help="run chapters and write the tables they keep")
    keeping.add_argument("chapters", type=Path, nargs="+", metavar="CHAPTER")
    keeping.add_argument(
        "--profile", required=True, help="parameters: a name in book/profiles, or a YAML file"
    )
    keeping.add_argument("--jobs", type=_count, default=2, help="chapters at once (default 2)")
    keeping.set_defaults(command=_results)

    command.add(commands)

    showing = commands.add_parser("parameters", help="show the parameters of a chapter")
    showing.add_argument("chapter", type=Path)
    showing.set_defaults(command=_parameters)
    return parser


def _build(given: argparse.Namespace) -> None:
    root = _root()
    book = {chapter.name: chapter for chapter in chapters(root).values()} if given.p else {}
    overrides: dict[str, dict[str, Any]] = {}
    for word in given.p:
        key, value = _pair(word, "CHAPTER.NAME=VALUE")
        # The longest chapter name that fits: a file name may hold dots, a parameter can't.
        stem, dot, name = key.rpartition(".")
        if not dot:
            raise ParameterError(f"-p {word}: must be CHAPTER.NAME=VALUE")
        if stem not in book:
            raise ParameterError(unknown("chapter", stem, book))
        overrides.setdefault(stem, {})[name] = _value(book[stem], name, value)
    built = build(
        root, profile=given.profile, overrides=overrides, jobs=given.jobs, force=given.force
    )
    print(_table(built))


def _run(given: argparse.Namespace) -> None:
    chapter = read_chapter(given.chapter)
    pairs = [_pair(word, "NAME=VALUE") for word in given.p]
    parameters = {name: _value(chapter, name, value) for name, value in pairs}
    print(run(given.chapter, parameters, given.out))


def _results(given: argparse.Namespace) -> None:
    root = _root()
    written = tables.update(root, given.chapters, profile=given.profile, jobs=given.jobs)
    print("\n".join(str(path.relative_to(root)) for path in written))


def _parameters(given: argparse.Namespace) -> None:
    for parameter in read_chapter(given.chapter).parameters:
        print(f"{parameter.name} = {parameter.default!r}  ({parameter.allowed})")
        if parameter.description:
            print(f"    {parameter.description}")


def _root() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_toc.yml").is_file():
            return folder
    raise ParameterError(f"no _toc.yml in {here} or above it: not inside a book")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"given {text}, allowed: a whole number from 1")
    return int(text)


def _pair(word: str, form: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise ParameterError(f"-p {word}: must be {form}")
    return name.strip(), value


def _value(chapter: Chapter, name: str, text: str) -> Any:  # noqa: ANN401
    known = {parameter.name: parameter for parameter in chapter.parameters}
    if name not in known:
        raise ParameterError(f"{chapter.name}: {unknown('parameter', name, known)}")
    try:
        return parse(known[name], text)
    except ParameterError as error:
        raise ParameterError(f"{chapter.name}: {error}") from error


def _table(built: Built) -> str:
    width = max([len("chapter"), *(len(outcome.chapter) for outcome in built.outcomes)])
    rows = [("chapter", "seconds", "")] + [
        (outcome.chapter, f"{outcome.seconds:.1f}", "ran" if outcome.ran else "reused")
        for outcome in built.outcomes
    ]
    lines = [f"{name:<{width}}  {seconds:>7}  {how}".rstrip() for name, seconds, how in rows]
    state = "rendered" if built.rendered else "unchanged"
    return "\n".join([*lines, f"site ({state}): {built.index}"])


if __name__ == "__main__":
    sys.exit(main())
