"""`ernie-triton evaluate TASK FILE`: score a published task on a labelled file, through a server or in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.command_line import CommandLine, did_you_mean
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import MANIFEST_PARAMETER, variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from ..console import bar, run_command, say
from ..errors import ConfigError, PublishError
from ..readers import reader_names
from ..repository.compare import published_manifest
from ..repository.served import ask_answers
from .labelled import Labelled, read_labelled
from .picture import PICTURE, draw
from .report import lines, make_report, to_json, write_files

NAME = "ernie-triton evaluate"
EPILOG = """\
Formats and columns are seen in the file, as by `ernie-triton init`: CSV, TSV, Excel, JSON, doccano, Label Studio,
CoNLL, SQuAD and others (docs/data.md). Labels may be those of the training data or the names in answers.
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line."""

    task: str
    file: Path
    url: str | None  # of a server; None: in this process
    repository: Path
    variant: str  # empty: the recommended one
    format: str  # empty: what the file looks like
    fields: Mapping[str, str]
    output: Path
    json: bool


def parse(argv: Sequence[str] | None = None) -> Options:
    """Wrong usage exits with 2."""
    p = CommandLine(prog=NAME, description=__doc__, epilog=EPILOG)
    p.add_argument("task", metavar="TASK", help="name of a published task")
    p.add_argument("file", metavar="FILE", type=Path, help="labelled texts")
    p.add_argument("--url", metavar="HOST:PORT", help="ask the server at this gRPC port")
    p.add_argument(
        "--repository",
        metavar="DIR",
        type=Path,
        help="run the task of this model repository in this process (default: model_repository)",
    )
    p.add_argument("--variant", default="", help="a precision or size other than the recommended one")
    p.add_argument("--format", default="", choices=("", *reader_names()), metavar="NAME", help="of the file")
    p.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="a column, as in [tasks.NAME.data] fields: text=content, label=class; may be repeated",
    )
    p.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the files of the report (default: evaluation/TASK)"
    )
    p.add_argument("--json", action="store_true", help="print the report as one JSON object")
    args = p.parse_args(argv)
    if args.url and args.repository:
        if {"url", "repository"} <= p.from_environment or not {"url", "repository"} & p.from_environment:
            p.error("--url asks a server, --repository does without one: give one of them")
        setattr(args, "url" if "url" in p.from_environment else "repository", None)
    fields = dict(field.partition("=")[::2] for field in args.field)
    if wrong := next((name for name, column in fields.items() if not column), None):
        p.error(f"--field {wrong}: expected NAME=COLUMN")
    return Options(
        task=args.task,
        file=args.file,
        url=args.url,
        repository=args.repository or Path("model_repository"),
        variant=args.variant,
        format=args.format,
        fields=fields,
        output=args.output or Path("evaluation", args.task),
        json=args.json,
    )


def evaluate(options: Options) -> None:
    """Score the task, print the report and write its files."""
    manifest = served_manifest(options.url, options.task) if options.url else published_task(options)
    names = [variant.name for variant in manifest.variants]
    variant = options.variant or manifest.recommended
    if variant not in names:
        hint = did_you_mean(variant, names) or f"; it has {', '.join(names)}"
        raise ConfigError(f"task {manifest.task} has no variant {variant!r}{hint}")
    labelled = read_labelled(options.file, manifest, options.format, options.fields)
    report = make_report(manifest, variant, labelled.examples, _answers(options, manifest, variant, labelled))
    paths = write_files(report, options.output)
    draw(report, options.output / PICTURE)
    if options.json:
        raw = {**to_json(report), "file": str(options.file), "folder": str(options.output)}
        sys.stdout.write(json.dumps({**raw, "repairs": list(labelled.repairs)}, ensure_ascii=False) + "\n")
        return
    fields = ", ".join(f"{name} = {column}" for name, column in labelled.data.fields.items())
    where = f"the server at {options.url}" if options.url else f"{options.repository}, in this process"
    say(f"{manifest.task}, version {manifest.version}, {variant}: {where}")
    say(f"{options.file}: {labelled.container}{f' ({fields})' if fields else ''}")
    say(f"{report.rows:,} rows, {len(report.wrong):,} wrong; points ± standard error:")
    for line in lines(report):
        say(line)
    say(f"wrote {', '.join(path.name for path in (*paths, options.output / PICTURE))} in {options.output}")


def published_task(options: Options) -> Manifest:
    """The task in the repository; PublishError with what is there where it has none."""
    if not options.repository.is_dir():
        raise PublishError(f"{options.repository}: no such repository; build one, or give --repository or --url")
    return published_manifest(options.repository, options.task)


def served_manifest(url: str, task: str) -> Manifest:
    """The manifest of a task that a server has, by its name or title; PublishError where there is no such one."""
    import tritonclient.grpc as triton

    def manifest_of(model: str) -> str:
        parameters = client.get_model_config(model).config.parameters
        return parameters[MANIFEST_PARAMETER].string_value if MANIFEST_PARAMETER in parameters else ""

    try:
        with triton.InferenceServerClient(url) as client:
            if task.isascii():
                text = manifest_of(task)
            else:  # Triton has no such names; the statistics list what is loaded, the index may be restricted
                loaded = {model.name for model in client.get_inference_statistics().model_stats}
                texts = [text for model in sorted(loaded) if (text := manifest_of(model))]
                text = next((text for text in texts if json.loads(text)["title"].casefold() == task.casefold()), "")
    except triton.InferenceServerException as error:
        raise PublishError(f"the server at {url}, task {task!r}: {error.message() or error}") from None
    if not text:
        raise PublishError(f"the server at {url}: {task!r} is no task of this project")
    return Manifest.from_json(text, f"the server at {url}: {task}")


def _answers(options: Options, manifest: Manifest, variant: str, labelled: Labelled) -> list[Answer | str]:
    items = [example.texts for example in labelled.examples]
    with bar(len(items), "evaluate") as shown:
        if options.url:
            model = variant_ensemble(manifest.task, variant)
            answers = ask_answers(options.url, model, manifest, items, shown.update)
            return [_message(answer) for answer in answers]
        return Pipeline.load(options.repository, manifest.task, variant).predict(items, progress=shown.update)


def _message(answer: Answer | str) -> Answer | str:
    """A text that the server refused alone, as the error that it is."""
    if isinstance(answer, str) or "error" not in answer.result:
        return answer
    error = answer.result["error"]
    return str(error["message"] if isinstance(error, dict) and "message" in error else error)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 scored, 1 a fault (one line), 2 usage."""
    options = parse(argv)
    return run_command(NAME, lambda: evaluate(options))
