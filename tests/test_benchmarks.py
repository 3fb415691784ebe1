"""The benchmarks, run small: what they print and store, and what they refuse to say."""

import dataclasses
import importlib
import itertools
import json
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
TAKEN = {"forward", "value_and_grad"}
KINDS = ["fresh", "reused"]


def started(script: str, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run(script: str, *options: object) -> str:
    """What a script prints."""
    result = started(script, *options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def imported(name: str) -> ModuleType:
    """A module of the benchmarks, found as their own scripts find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def small_losses(tmp_path_factory):
    """Stdout and JSON of a plain run, and of one whose V is prime and type narrow: it has comparisons of its own."""
    runs = []
    for dtype, classes in (("float32", 32128), ("bfloat16", 32003)):
        path = tmp_path_factory.mktemp(dtype) / "losses.json"
        options = ("--elements", 40000, "--rounds", 3, "--widest", 1000, "--dtypes", dtype, "--vocabularies", classes)
        printed = run("losses.py", *options, "--json", path)
        assert [file.name for file in path.parent.iterdir()] == ["losses.json"]
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert stored["complete"] is True
        assert [group["memory"] for group in stored["groups"]] == KINDS
        for group in stored["groups"]:
            assert (group["dtype"], group["tokens"], group["classes"]) == (dtype, 1, classes)
        runs.append((printed, stored["groups"]))
    return runs


@pytest.mark.thorough
def test_losses_times_every_contestant_in_every_mode(small_losses):
    """Fails when a contestant, a setting or a mode drops out of the table, or a time is not stored."""
    for printed, group in ((printed, group) for printed, groups in small_losses for group in groups):
        keys = {(each["name"], each["setting"], each["mode"]) for each in group["timed"]}
        smoothed = {"lossproof", "t5x"}
        smoothed |= {"own float32"} if group["dtype"] == "bfloat16" else set()
        smoothed |= {"own common V"} if group["classes"] == 32003 else set()
        assert keys >= set(itertools.product(smoothed, ("plain", "smoothed"), TAKEN))
        assert keys >= set(itertools.product(["optax"], ["plain"], TAKEN))
        assert keys >= set(itertools.product(["floor"], ["-"], TAKEN))
        assert all(len(each["seconds"]) == len(each["faults"]) == 3 for each in group["timed"])
        assert all(min(each["seconds"]) > 0 for each in group["timed"])
        jax_names = smoothed | {"optax", "floor"}
        assert all(each["temporaries"] is not None for each in group["timed"] if each["name"] in jax_names)
        assert all(each["compilation"]["compiling"] > 0 for each in group["timed"] if each["name"] in jax_names)
        title = f"V = {group['classes']}, N = 1, {group['dtype']}"
        assert [line for line in printed.splitlines() if line.startswith(title)] == [
            f"{title}: times",
            f"{title}: ratios",
            f"{title}: compile time beside t5x",
        ]


@pytest.mark.thorough
def test_losses_prints_both_kinds_of_memory_side_by_side(small_losses):
    """Fails when a line of a table is that of one kind only, or stands far from the other's."""
    for printed, _ in small_losses:
        lines = [line.split() for line in printed.splitlines()]
        kinds = [kind for words in lines for kind in words if kind in KINDS and words[0] != "goals"]
        assert kinds == KINDS * (len(kinds) // 2)
        assert len(kinds) > 2 * len(TAKEN)


@pytest.mark.thorough
def test_losses_holds_each_ratio_against_its_goal(small_losses):
    """Fails when a goal is not looked up, or met and missed are mistaken for each other."""
    plain, prime = (
        {(each["beside"], each["setting"], each["mode"]): each for each in groups[0]["comparisons"]}
        for _, groups in small_losses
    )
    assert plain["floor", "plain", "forward"]["goal"] == 1.15
    assert plain["floor", "smoothed", "forward"]["goal"] == 1.45
    assert plain["optax", "plain", "value_and_grad"]["goal"] == 1.1
    assert plain["temporaries", "smoothed", "value_and_grad"]["goal"] == 0.04
    assert plain["t5x", "plain", "forward"]["goal"] is None
    assert plain["t5x's compile time", "plain", "forward"]["goal"] == 1.5
    assert prime["own common V", "plain", "forward"]["goal"] == 2.0
    assert prime["temporaries", "plain", "forward"]["goal"] == 0.1
    assert prime["floor", "plain", "forward"]["goal"] is None
    for printed, groups in small_losses:
        counts = [f"goals with {group['memory']} memory: {judged(group)}, 0 not quoted" for group in groups]
        assert printed.splitlines()[-2:] == counts


def judged(group):
    """How many goals of a group were met and missed, once each verdict is found to be right."""
    verdicts = []
    for each in group["comparisons"]:
        assert each["refused"] is None
        expected = "" if each["goal"] is None else "met" if each["ratio"] <= each["goal"] else "missed"
        assert each["verdict"] == expected
        verdicts.append(expected)
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("met", "missed"))


@pytest.mark.thorough
def test_compile_time_is_compared_with_all_of_t5x_s(small_losses):
    """Fails when tracing or XLA's part is left out of the ratio, or another program's times get into it."""
    for group in itertools.chain.from_iterable(groups for _, groups in small_losses):
        seconds = {
            (each["name"], each["setting"], each["mode"]): sum(each["compilation"].values())
            for each in group["timed"]
            if each["compilation"] is not None
        }
        found = [each for each in group["comparisons"] if each["beside"] == "t5x's compile time"]
        assert len(found) == 2 * len(TAKEN)
        for each in found:
            ours, theirs = (seconds[name, each["setting"], each["mode"]] for name in ("lossproof", "t5x"))
            assert each["ratio"] == ours / theirs


@pytest.mark.thorough
def test_a_group_comes_back_from_json_as_it_was(small_losses):
    """Fails when a process's measurements are printed or stored otherwise than they were taken."""
    for group in itertools.chain.from_iterable(groups for _, groups in small_losses):
        assert json.loads(json.dumps(imported("_groups").Group.from_json(group).as_json())) == group


@pytest.mark.thorough
def test_scaling_prints_the_cost_of_growing_sizes(tmp_path, monkeypatch, capsys):
    """Fails when the scaling tables do not run, or a size is left out that fits."""
    losses, path = imported("losses"), tmp_path / "scaling.json"
    for name, sizes in (("TOKENS", [256, 2048, 4096]), ("TOKENS_CLASSES", [1024]), ("CLASSES", [4096])):
        monkeypatch.setattr(losses, f"SCALING_{name}", sizes)
    options = ["--scaling", "--elements", "20000", "--rounds", "3", "--dtypes", "float32", "--json", str(path)]
    options += ["--memory", "reused"]
    monkeypatch.setattr(sys, "argv", ["losses.py", *options])
    losses.main()
    groups = json.loads(path.read_text(encoding="utf-8"))["groups"]
    sizes = [(256, 1024), (2048, 1024), (4, 4096)]
    assert [(group["tokens"], group["classes"]) for group in groups] == sizes
    printed = capsys.readouterr().out
    assert all(f"{tokens} x {classes} " in printed for tokens, classes in sizes)
    assert printed.count("largest / smallest") == printed.count("reused memory") == 2


class FakeTime:
    """A clock that only its programs move."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        """Seconds."""
        return self.now

    def program(self, durations):
        """A program that takes these times in turn, first that of the run that does not count."""
        left = itertools.cycle(durations)

        def run():
            self.now += next(left)

        return imported("_contestants").Program(run, 0)

    def contestant(self, name, durations):
        """A contestant all of whose programs take these times."""
        return SimpleNamespace(name=name, settings=("plain", "smoothed"), program=lambda *_: self.program(durations))


def compared(monkeypatch, ours, theirs):
    """The comparison with t5x, and the groups' others, of programs that take these times."""
    time, groups = FakeTime(), imported("_groups")
    monkeypatch.setattr(groups, "floor_program", lambda *_: time.program(theirs))
    entrants = [time.contestant("lossproof", ours), time.contestant("t5x", theirs)]
    group = groups.measure(
        1, 32128, "float32", entrants, memory="fresh", rounds=len(ours) - 1, widest=0.1, clock=time.clock
    )
    assert {each.beside for each in group.comparisons} == {"floor", "t5x", "temporaries"}
    return next(each for each in group.comparisons if (each.beside, each.setting) == ("t5x", "smoothed"))


def test_ratio_is_refused_when_its_times_scatter(monkeypatch):
    """Fails when a ratio is quoted, or a goal said to be met, on times too scattered to tell."""
    found = compared(monkeypatch, [9.0, 0.1, 0.2, 0.4, 0.1, 0.3, 0.2], [9.0] + [1.0] * 6)
    assert found.goal == 0.42
    assert (found.ratio, found.verdict) == (None, "not quoted")
    assert found.refused == "margin 48.1%, more than 10.0%: 6 rounds gave 0.1 to 0.4"


def test_ratio_of_steady_times_is_quoted(monkeypatch):
    """Fails when the run that compiles counts, or the ratio is upside down."""
    found = compared(monkeypatch, [99.0] + [0.25] * 3, [9.0] + [1.0] * 3)
    assert (found.ratio, found.margin, found.verdict, found.refused) == (0.25, 0.0, "met", None)
    found = compared(monkeypatch, [99.0] + [0.5] * 3, [9.0] + [1.0] * 3)
    assert (found.ratio, found.verdict) == (0.5, "missed")


def test_slow_round_slows_all(monkeypatch):
    """Fails when ratios are not taken round by round: the machine's slow minutes would then widen them."""
    found = compared(monkeypatch, [9.0, 0.5, 2.0, 0.25, 4.0, 1.0], [9.0, 1.0, 4.0, 0.5, 8.0, 2.0])
    assert (found.ratio, found.margin) == (0.5, 0.0)


def test_times_are_per_logit_where_sizes_differ():
    """Fails when lossproof at another V is compared by the batch: a batch of the other V has fewer logits."""
    groups, timing = imported("_groups"), imported("_timing")
    second = timing.Sample((1.0, 1.0, 1.0))
    timed = {
        groups.Key(name, setting, mode): groups.Timed(second, logits, (0, 0, 0), 0.0, None)
        for (name, logits), setting, mode in itertools.product(
            [("lossproof", 32003), ("own common V", 64006)], ["plain", "smoothed"], sorted(TAKEN)
        )
    }
    found = [each for each in groups._comparisons(timed, "float32", 32003, 0.1) if each.beside == "own common V"]
    assert [(each.ratio, each.goal, each.verdict) for each in found] == [(2.0, 2.0, "met")] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", 2], "--rounds must be at least 3"),
        (["--elements", 0], "--elements must be at least 1"),
        (["--vocabularies", 1], "every V at least 2"),
    ],
)
def test_losses_says_what_is_wrong_with_an_option(options, message):
    """Fails when a run starts that has to end in a traceback."""
    result = started("losses.py", *options)
    assert result.returncode == 2
    assert message in result.stderr


def test_reused_memory_is_refused_without_glibc(monkeypatch, capsys):
    """Fails when what another malloc does is called reused memory, or fresh memory is refused with it."""
    losses, memory = imported("losses"), imported("_memory")
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(sys, "argv", ["losses.py"])
    with pytest.raises(SystemExit, match="2"):
        losses.main()
    assert "--memory: reused needs glibc, whose malloc can be told to keep" in capsys.readouterr().err
    assert memory.unavailable("fresh") is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told to keep what is freed")
@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_of_the_kind_that_is_asked_for(kind, tmp_path, monkeypatch):
    """Fails when glibc does not take its variables, or a fresh process has them from whoever started it."""
    memory, script = imported("_memory"), tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path[:0] = [{str(BENCHMARKS)!r}]\nimport _memory\nprint(_memory.is_reused())\n")
    for name, value in memory._KEEP.items():
        monkeypatch.setenv(name, value)
    assert memory.last_line(kind, script, []) == str(kind == "reused")


def test_a_process_that_fails_says_why(tmp_path):
    """Fails when a run goes on without a measurement, or hides what went wrong with it."""
    script = tmp_path / "script.py"
    script.write_text("import sys\nsys.exit(f'no {sys.argv[1]}')\n")
    with pytest.raises(SystemExit, match="no reason\na process with fresh memory ended with exit status 1"):
        imported("_memory").last_line("fresh", script, ["reason"])


@pytest.mark.thorough
def test_an_interrupted_run_keeps_what_it_has_measured(tmp_path, monkeypatch, small_losses):
    """Fails when a kind's measurements are only stored with the other's."""
    losses, path = imported("losses"), tmp_path / "losses.json"
    fresh = small_losses[0][1][0]

    def measured(memory, **_):
        if memory == "reused":
            raise KeyboardInterrupt
        return imported("_groups").Group.from_json(fresh)

    monkeypatch.setattr(losses, "measured", measured)
    monkeypatch.setattr(losses, "check_meaning", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["losses.py", "--json", str(path)])
    with pytest.raises(KeyboardInterrupt):
        losses.main()
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert (stored["complete"], stored["groups"]) == (False, [fresh])


def test_compile_time_is_that_of_the_program_itself(monkeypatch):
    """Fails when what a program does before it is compiled counts as compiling, or an eager one has a compile time."""
    timing = imported("_timing")
    moments = itertools.count()
    monkeypatch.setattr(timing.time, "process_time", lambda: float(next(moments)))
    made, compilation = timing.watched(lambda: jax.jit(jnp.negative).lower(np.float32(1)).compile())
    assert made(np.float32(1)) == -1
    assert (compilation.lowering, compilation.compiling, compilation.total) == (1.0, 1.0, 2.0)
    assert timing.watched(lambda: "eager") == ("eager", None)


def test_a_wrong_formula_is_not_timed():
    """Fails when the benchmark times something else than the loss that it names."""
    losses, contestants = imported("losses"), imported("_contestants")
    convention = contestants.Convention(smoothing="uniform", subtract_entropy=False, add_z_loss=False)
    (ours, *_), _ = contestants.contestants()
    losses.check_meaning([ours], "float32")
    with pytest.raises(ValueError, match=r"lossproof \(smoothed, float32\) must compute the loss of its convention"):
        losses.check_meaning([dataclasses.replace(ours, convention=convention)], "float32")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    """Fails when an interrupted benchmark leaves half a file, or loses the one that was there."""
    path, store = tmp_path / "file.json", imported("_report").store
    store(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        store(path, {"a": 2, "b": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]


@pytest.mark.parametrize(
    ("classes", "width"),
    [(32003, None), (32768, None), (50257, 1733), (50261, None), (100003, None), (128256, 32064), (262144, 32768)],
)
def test_floor_takes_rows_in_the_widest_useful_blocks(classes, width):
    """Fails when the floor is measured in rows that XLA:CPU is slow with, and flatters what stands beside it."""
    assert imported("_floor").block_width(classes) == width


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("classes", [2000, 2**16])
def test_floor_does_its_passes_and_no_more(classes, dtype):
    """Fails when the floor leaves a pass out, or pays for a copy: it would be no floor."""
    inputs, contestants = imported("_inputs").Inputs.drawn(64, classes, dtype), imported("_contestants")
    logits = inputs.logits.astype(np.float64)
    peaks = logits.max(axis=-1)
    exps = np.exp(logits - peaks[:, None])
    programs = [contestants.floor_program(inputs, mode) for mode in ("forward", "value_and_grad")]
    for program in programs:
        got_peaks, sums, *_ = map(np.asarray, program.run())
        assert np.array_equal(got_peaks, peaks)
        totals = sums.reshape(len(peaks), -1).sum(axis=-1)
        assert np.allclose(totals, exps.sum(axis=-1), rtol=classes * 2.0**-24)  # a float32 sum in any order
        # A float32 copy of the logits is 1 or 2 times their bytes; one token's, in float16, 1/32 of them.
        assert program.temporaries < inputs.logits.nbytes / 8
    gradient = np.asarray(programs[1].run()[2]).astype(np.float64)
    assert gradient.shape == logits.shape
    form = jnp.finfo(dtype)
    gap = np.max(peaks[:, None] - logits) * 2.0**-24  # what its rounding costs, relative to the exponential
    rtol, atol = gap + float(form.eps), float(form.smallest_subnormal)
    assert np.allclose(gradient, exps, rtol=rtol, atol=atol)


@pytest.fixture(scope="module")
def small_accuracy(tmp_path_factory):
    path = tmp_path_factory.mktemp("accuracy") / "accuracy.json"
    printed = run("accuracy.py", "--classes", 64, "--rows", 2, "--tokens", 5000, "--json", path)
    return printed, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.thorough
def test_accuracy_measures_every_contestant_everywhere(small_accuracy):
    """Fails when a lead, an offset or a contestant drops out of the tables."""
    printed, stored = small_accuracy
    here = {"lossproof", "t5x", "optax"}
    amounts = [("confident", lead) for lead in (5, 10, 20, 40, 80)] + [("offset", o) for o in (0, 1e2, 1e4, 1e6)]
    found = {(each["table"], each["amount"], each["contestant"]) for each in stored["tokens"]}
    assert found >= {(*amount, name) for amount in amounts for name in here}
    assert {each["contestant"] for each in stored["totals"]} >= here
    assert all(title in printed for title in ("confident: largest", "offset: largest", "total of 5000"))


@pytest.mark.thorough
def test_accuracy_sees_a_loss_of_zero(small_accuracy):
    """Fails when errors are not taken relative to the exact answer's own ulp, of which any number has 2^23 to 2^24."""
    _, stored = small_accuracy
    zero = next(
        each
        for each in stored["tokens"]
        if (each["table"], each["amount"], each["contestant"]) == ("confident", 40, "optax")
    )
    for error in ("loss", "differentiated_loss", "target_gradient"):
        assert 2**23 <= zero[error] <= 2**24


def test_ulps_are_those_of_the_exact_answer():
    """Fails when an error is measured in another unit, or the low word of the exact answer is forgotten."""
    ulps = imported("accuracy").ulps
    exact = np.array([1.5, 2.0**-20, -3.0])
    spacing = np.array([2.0**-23, 2.0**-43, 2.0**-22])
    assert ulps(exact + 5 * spacing, exact, 2 * spacing).tolist() == [3.0, 3.0, 3.0]


def test_targets_lead_by_what_the_table_says():
    """Fails when "leads by 20" is another number, or an offset is not added."""
    accuracy = imported("accuracy")
    inputs = accuracy.inputs_of("confident", 16.0, 8, 3)
    ordered = np.sort(inputs.logits, axis=-1)
    assert np.array_equal(inputs.logits.argmax(axis=-1), inputs.targets)
    assert np.array_equal(ordered[:, -1], ordered[:, -2] + np.float32(16))
    shifted, plain = (accuracy.inputs_of("offset", offset, 8, 100).logits for offset in (1e4, 0.0))
    assert np.array_equal(shifted, plain + np.float32(1e4))
