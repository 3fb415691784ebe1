"""A set that is being replaced is the old one or the new one, at any moment."""

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossproof import golden
from lossproof.golden import _files

Contents = dict[str, bytes]


class Killed(BaseException):
    """Stands for the end of the process."""


def without_case(content: bytes, file: str) -> bytes:
    """Returns a topic's file without its last case."""
    from dataclasses import replace

    from lossproof.golden._read import read_topic, render_topic

    topic = read_topic(content, file)
    return render_topic(replace(topic, questions=topic.questions[:-1]))


@pytest.fixture(scope="module")
def sets(fresh: Path) -> tuple[Contents, Contents]:
    """Two sets: a file of each is not in the other, one file differs, one is the same."""
    files = {path.name: path.read_bytes() for path in fresh.glob("*.json") if path.name != "manifest.json"}
    kept, changed = "t5x_differences.json", "start_values.json"
    old = {kept: files[kept], changed: without_case(files[changed], changed)}
    new = {kept: files[kept], changed: files[changed]}
    return (
        {**old, "excluded_tokens.json": files["excluded_tokens.json"]},
        {**new, "special_states.json": files["special_states.json"]},
    )


def publish(directory: Path, contents: Contents) -> None:
    _files.replace_set(directory, contents, {name: content.count(b'"id": ') for name, content in contents.items()})


def stored(directory: Path) -> Contents:
    manifest = _files.read_manifest(directory)
    return {name: manifest.content(name) for name in manifest.files}


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ends the process, as far as the set is concerned, before its operation number `step` on the file system."""
    count = 0

    def counted(module: object, name: str, *, torn: bool) -> None:
        original = getattr(module, name)

        def operation(path: Path, *arguments: object) -> object:
            nonlocal count
            count += 1
            if count == step:
                if torn:  # half of the bytes are there
                    content = arguments[0]
                    assert isinstance(content, bytes)
                    path.write_bytes(content[: len(content) // 2])
                raise Killed
            return original(path, *arguments)

        monkeypatch.setattr(module, name, operation)

    counted(_files, "_write", torn=True)
    counted(Path, "replace", torn=False)
    counted(Path, "unlink", torn=False)


def test_every_point_of_interruption_leaves_a_whole_set(
    sets: tuple[Contents, Contents], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a kill between two steps leaves a mixture, or something that the next change does not clear away."""
    old, new = sets
    outcomes = []
    for step in range(1, 100):
        directory = tmp_path / str(step)
        directory.mkdir()
        publish(directory, old)
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            try:
                publish(directory, new)
            except Killed:
                finished = False
            else:
                finished = True
        found = stored(directory)
        assert found in (old, new), f"step {step}"
        assert len(golden.load(directory=directory)) == sum(content.count(b'"id": ') for content in found.values())
        outcomes.append(found == new)
        publish(directory, old if step % 2 else new)
        assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"} == (
            old if step % 2 else new
        ), f"step {step}"
        if finished:
            break
    else:
        pytest.fail("replace_set takes more steps than are tried")
    assert outcomes == sorted(outcomes), "once the new set holds, it holds"
    assert len(outcomes) > 6
    assert not outcomes[0]


def test_kill_at_a_random_moment_leaves_a_whole_set(sets: tuple[Contents, Contents], tmp_path: Path) -> None:
    """Fails when SIGKILL leaves a set that is neither the old nor the new one."""
    directory, sources = tmp_path / "vectors", [tmp_path / "old", tmp_path / "new"]
    directory.mkdir()
    publish(directory, sets[0])
    for source, contents in zip(sources, sets, strict=True):
        source.mkdir()
        publish(source, contents)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lossproof.golden._files import read_manifest, replace_set\n"
        "directory, *sources = map(Path, sys.argv[1:])\n"
        "manifests = [read_manifest(source) for source in sources]\n"
        "sets = [{name: m.content(name) for name in m.files} for m in manifests]\n"
        "cases = [{name: entry.cases for name, entry in m.files.items()} for m in manifests]\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for contents, counts in zip(sets, cases): replace_set(directory, contents, counts)\n"
    )
    moments = random.Random(1)  # noqa: S311 - moments, not secrets
    for _ in range(5):
        command = [sys.executable, "-c", program, str(directory), *map(str, sources)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
        assert stored(directory) in sets
        golden.load(directory=directory)


def test_killed_regeneration_leaves_the_old_set_or_the_new_one() -> None:
    """Fails when SIGKILL, while `lossproof golden regenerate` computes or publishes, leaves no whole set."""
    driver = Path(__file__).with_name("kill_regeneration.py")
    result = subprocess.run([sys.executable, driver, "--kills", "4"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^4 kills left [1-3] old and [1-3] new sets; finished later: True$", result.stdout, re.MULTILINE)
