"""Reading the set, and refusing it where it is not what the manifest says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lossproof.golden._case import Case
from lossproof.golden._errors import GoldenError, SelectionError
from lossproof.golden._files import MANIFEST, VECTORS, Manifest, check_no_strays, read_manifest
from lossproof.golden._read import read_topic
from lossproof.golden._topic import Topic


@dataclass(frozen=True)
class TopicFile:
    """A topic as it is stored: the bytes, and what they say."""

    content: bytes
    topic: Topic

    @property
    def cases(self) -> list[Case]:
        """The cases, in the order of the file."""
        return [question for question in self.topic.questions if isinstance(question, Case)]


def load(topics: Iterable[str] | None = None, *, directory: Path | None = None) -> list[Case]:
    """The golden cases, each checked against its id and the manifest, those of another directory by the schema, too.

    What the package brings has the digest of files that the schema accepted; `lossproof golden verify` asks it again.

    Args:
      topics: names of topics; None for all.
      directory: where the vectors are; None for those of this package.

    Returns:
      The cases, topic by topic, in the order of the files.

    Raises:
      GoldenError: a file is missing, unknown, damaged, changed or of another version, an id is wrong or there twice, or
        there are fewer or more cases than the manifest says.
      SelectionError: no such topic.

    Example:
      >>> from lossproof import golden
      >>> case = golden.load(["start_values"])[0]
      >>> case.function, case.inputs["logits"].tolist(), case.answers["loss"].decimal[0][:12]
      ('token_cross_entropy', [[1.0, 2.0, 3.0]], '2.4076059644')
    """
    files = load_files(topics, directory=directory, by_schema=directory is not None)
    return [case for stored in files for case in stored.cases]


def load_files(
    topics: Iterable[str] | None = None, *, directory: Path | None = None, by_schema: bool = True
) -> list[TopicFile]:
    """As `load`, file by file, in the order of their names; against the schema unless told otherwise."""
    manifest = read_manifest(directory or VECTORS)
    check_no_strays(manifest.directory, manifest.files)
    contents = {name: manifest.content(name) for name in sorted(manifest.files)}
    if topics is not None:
        contents = {f"{topic}.json": contents[f"{topic}.json"] for topic in _known(topics, contents)}
    return read_files(manifest, contents, by_schema=by_schema)


def read_files(manifest: Manifest, contents: Mapping[str, bytes], *, by_schema: bool = True) -> list[TopicFile]:
    """Returns the topics of these files of a set.

    Args:
      manifest: what is expected of them.
      contents: by name, the bytes.
      by_schema: whether they are checked against the schema.

    Raises:
      GoldenError: see `load`.
    """
    files, seen = [], dict[str, str]()
    for name, content in contents.items():
        stored = TopicFile(content, read_topic(content, name, by_schema=by_schema))
        expected = manifest.files[name].cases
        if len(stored.cases) != expected:
            problem = f"expected {expected} cases of {name}, got {len(stored.cases)}: restore both files or regenerate"
            raise GoldenError(MANIFEST, problem)
        for case in stored.cases:
            if case.id in seen:
                problem = f"expected each id once, got it in {seen[case.id]} too: keep one of the two cases"
                raise GoldenError(f"{name}: case {case.id}", problem)
            seen[case.id] = name
        files.append(stored)
    return files


def _known(topics: Iterable[str], contents: dict[str, bytes]) -> list[str]:
    names = list(dict.fromkeys(topics))
    for name in names:
        if f"{name}.json" not in contents:
            known = ", ".join(file.removesuffix(".json") for file in contents)
            raise SelectionError(f"{name!r} is no topic of the set: choose from {known}")
    return names
