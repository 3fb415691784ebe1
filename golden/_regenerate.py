"""Writing the set from the definitions of its topics."""

import contextlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from lossproof.golden._case import Question
from lossproof.golden._errors import GoldenError, SelectionError
from lossproof.golden._files import MANIFEST, VECTORS, Manifest, check_no_strays, read_manifest, replace_set
from lossproof.golden._found import TOPIC as FOUND_TOPIC, read_result, topic_of
from lossproof.golden._functions import unanswered
from lossproof.golden._load import load_files, read_files
from lossproof.golden._model import TOPIC as MODEL_TOPIC, read_export
from lossproof.golden._read import read_topic, render_topic
from lossproof.golden._topic import Topic
from lossproof.golden._topics import TOPICS
from lossproof.golden._work import Progress, answer_all

# Topics whose inputs came from outside: their files are where the inputs are kept.
STORED = (MODEL_TOPIC, FOUND_TOPIC)


def regenerate(
    only: Iterable[str] | None = None,
    *,
    check: bool = False,
    workers: int | Executor = 1,
    progress: Progress | None = None,
    directory: Path | None = None,
) -> list[str]:
    """Computes the set anew and writes what changed; the same bytes on any machine, with any number of workers.

    Args:
      only: topics, or ids of cases to stand for their topics; None for all.
      check: only say what would change.
      workers: how many processes compute; or an executor, such as that of a Dask client, that does.
      progress: called with the cases done, the cases in all and the last id.
      directory: where the vectors are; None for those of this package.

    Returns:
      The names of the files that changed, the manifest's among them; empty if nothing did.

    Raises:
      GoldenError: a question is refused or its answer undecided, a topic that is its own source is damaged, or (with
        `only`) the files that stay are.
      SelectionError: a name of `only` is neither a topic nor an id.
    """
    where = directory or VECTORS
    topics = _definitions(where)
    chosen = list(topics) if only is None else _topics_of(topics, only)
    contents, cases = _answered([topics[name] for name in chosen], workers, progress)
    if only is not None:
        manifest = read_manifest(where)
        for name in manifest.files.keys() - contents.keys():
            contents[name], cases[name] = manifest.content(name), manifest.files[name].cases
    return _publish(where, contents, cases, check=check)


def import_model(
    file: Path, *, workers: int = 1, progress: Progress | None = None, directory: Path | None = None
) -> list[str]:
    """Makes the topic language_model of logits that a training run exported; its file is then its own source.

    Args:
      file: JSON with "origin" and "cases" (schema/model_export.schema.json).
      workers, progress, directory: as in `regenerate`.

    Returns:
      The names of the files that changed.

    Raises:
      GoldenError: the export is damaged, or the set is.
    """
    where = directory or VECTORS
    return _with_topic(read_export(file.read_bytes(), file.name), where, workers, progress)


def promote(
    file: Path, *, workers: int = 1, progress: Progress | None = None, directory: Path | None = None
) -> list[str]:
    """Adds the worst cases of a conformance result to the topic found_cases; its file is its own source.

    A case that the set has already, in whatever topic, is not added.

    Args:
      file: the result.json of `lossproof check --report`.
      workers, progress, directory: as in `regenerate`.

    Returns:
      The names of the files that changed.

    Raises:
      GoldenError: it is no such result, none of its cases can be a vector, or the set is damaged.
    """
    where = directory or VECTORS
    found = read_result(file.read_bytes(), file.name)
    stored = load_files(directory=where)
    known = {case.id for other in stored for case in other.cases}
    kept = [unanswered(case) for other in stored if other.topic.name == FOUND_TOPIC for case in other.cases]
    new = [question for question in found if question.id not in known]
    return _with_topic(topic_of([*kept, *new]), where, workers, progress) if new else []


def _with_topic(topic: Topic, where: Path, workers: int, progress: Progress | None) -> list[str]:
    """Writes a topic that is its own source, and leaves the others as they are."""
    contents, cases = _answered([topic], workers, progress)
    for other in load_files(directory=where):
        if other.topic.name != topic.name:
            contents[f"{other.topic.name}.json"] = other.content
            cases[f"{other.topic.name}.json"] = len(other.cases)
    return _publish(where, contents, cases, check=False)


def _answered(
    topics: list[Topic], workers: int | Executor, progress: Progress | None
) -> tuple[dict[str, bytes], dict[str, int]]:
    questions: list[tuple[str, Question]] = [(topic.name, question) for topic in topics for question in topic.questions]
    answers = iter(answer_all(questions, workers, progress))
    contents = {
        f"{topic.name}.json": render_topic(replace(topic, questions=tuple(next(answers) for _ in topic.questions)))
        for topic in topics
    }
    return contents, {f"{topic.name}.json": len(topic.questions) for topic in topics}


def _publish(where: Path, contents: dict[str, bytes], cases: dict[str, int], *, check: bool) -> list[str]:
    check_no_strays(where, [*contents, *(f"{name}.json" for name in (*TOPICS, *STORED)), *_listed(where)])
    manifest = Manifest.of(where, contents, cases)
    read_files(manifest, contents)  # what is written must load
    changed = sorted(name for name, content in contents.items() if _current(where, name) != content)
    changed += sorted(_listed(where) - contents.keys())
    if changed or _current(where, MANIFEST) != manifest.to_bytes():
        changed.append(MANIFEST)
    if not check:
        replace_set(where, contents, cases)
    return changed


def _current(where: Path, name: str) -> bytes | None:
    """The content of a file as a reader of the set finds it."""
    if name != MANIFEST:
        with contextlib.suppress(GoldenError, KeyError):
            return read_manifest(where).content(name)
    return (where / name).read_bytes() if (where / name).is_file() else None


def _listed(where: Path) -> set[str]:
    try:
        return set(read_manifest(where).files)
    except GoldenError:
        return set()


def _definitions(where: Path) -> Mapping[str, Topic]:
    """Every topic of the set, by name."""
    topics = dict(TOPICS)
    listed = _listed(where)
    for name in STORED:
        file = f"{name}.json"
        if file in listed:
            content = read_manifest(where).content(file)
        elif (where / file).is_file():  # the manifest is lost; the inputs vouch for themselves by their ids
            content = (where / file).read_bytes()
        else:
            continue
        stored = read_topic(content, file)
        topics[name] = replace(stored, questions=tuple(map(unanswered, stored.questions)))
    return topics


def _topics_of(topics: Mapping[str, Topic], only: Iterable[str]) -> list[str]:
    topic_of = {question.id: topic.name for topic in topics.values() for question in topic.questions}
    names = set()
    for name in only:
        if name not in topics and name not in topic_of:
            raise SelectionError(
                f"{name!r} is neither a case id nor a topic: choose an id or one of {', '.join(sorted(topics))}"
            )
        names.add(name if name in topics else topic_of[name])
    return sorted(names)
