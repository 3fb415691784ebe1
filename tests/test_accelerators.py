"""benchmarks/accelerators.py without any of its compilers: how it reads programs, what it says and what it stores."""

import importlib
import json
import operator
import os
import time
from pathlib import Path
from types import ModuleType

import jax
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def as_a_script(monkeypatch):
    """The benchmarks' modules are found, also by processes that are started, and no environment outlives a test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(os, "environ", os.environ.copy())


def imported(name: str) -> ModuleType:
    return importlib.import_module(name)


TPU = """\
HloModule jit_f, is_scheduled=true

%fused_computation (param_0: bf16[8,1024], param_1: s32[8]) -> bf16[8] {
  %param_0 = bf16[8,1024]{1,0:T(8,128)(2,1)} parameter(0)
  %param_1 = s32[8]{0:T(1024)S(1)} parameter(1)
  %gather.6 = bf16[8]{0:T(1024)} gather(%param_0, %param_1), offset_dims={}, slice_sizes={1,1}
  ROOT %reshape.14 = bf16[8]{0:T(1024)} reshape(%gather.6)
}

%fused_computation.1 (param_0.1: bf16[8,1024], param_1.1: f32[8]) -> (f32[8], bf16[8,1024]) {
  %param_0.1 = bf16[8,1024]{1,0:T(8,128)(2,1)} parameter(0)
  %param_1.1 = f32[8]{0:T(1024)S(1)} parameter(1)
  %exp = bf16[8,1024]{1,0} exponential(%param_0.1)
  ROOT %tuple.1 = (f32[8]{0:T(1024)S(1)}, bf16[8,1024]{1,0}) tuple(%param_1.1, %exp)
}

%called_computation (param_0.2: bf16[8,1024], param_1.2: s32[8]) -> bf16[8] {
  %param_0.2 = bf16[8,1024]{1,0} parameter(0)
  %param_1.2 = s32[8]{0} parameter(1)
  ROOT %gather.7 = bf16[8]{0} gather(%param_0.2, %param_1.2), backend_config={"estimated_cycles":"9223372036854775807"}
}

ENTRY %main.9 (x.1: bf16[8,1024], t.1: s32[8]) -> bf16[8,1024] {
  %constant.17 = bf16[]{:T(256)} constant(-inf)
  %x.1 = bf16[8,1024]{1,0:T(8,128)(2,1)} parameter(0), sharding={replicated}
  %t.1 = s32[8]{0:T(1024)} parameter(1)
  %copy-start = (s32[8]{0:T(1024)S(1)}, s32[8]{0:T(1024)}, u32[]{:S(2)}) copy-start(%t.1)
  %reduce_max = f32[8]{0:T(1024)S(1)} reduce(%x.1, %constant.17), \
to_apply=%max, backend_config={"estimated_cycles":"685"}
  %copy-done = s32[8]{0:T(1024)S(1)} copy-done(%copy-start)
  %gather_fusion = bf16[8]{0:T(1024)} fusion(%x.1, %copy-done), kind=kCustom, calls=%fused_computation
  %offload = ((bf16[8,1024]{1,0}, s32[8]{0}), bf16[8]{0}) call-start(%x.1, %t.1), to_apply=%called_computation
  %fusion.3 = (f32[8]{0:T(1024)S(1)}, bf16[8,1024]{1,0}) fusion(/*index=0*/%x.1, %reduce_max), kind=kLoop, \
calls=%fused_computation.1, backend_config={"estimated_cycles":"15"}
  ROOT %get-tuple-element = bf16[8,1024]{1,0} get-tuple-element(%fusion.3), index=1
}
"""

GPU = """\
HloModule jit_f

%fused_scatter (param_0.6: bf16[8,1024], param_1.87: s32[8]) -> bf16[8,1024] {
  %param_0.6 = bf16[8,1024]{1,0} parameter(0)
  %param_1.87 = s32[8]{0} parameter(1)
  %constant_1 = bf16[] constant(-1)
  %broadcast.31 = bf16[8,1,1]{2,1,0} broadcast(%constant_1), dimensions={}
  ROOT %scatter-add = bf16[8,1024]{1,0} scatter(%param_0.6, %param_1.87, %broadcast.31), to_apply=%add
}

%fused_select (param_0: bf16[8,1024], param_1: s32[8]) -> f32[8] {
  %param_0 = bf16[8,1024]{1,0} parameter(0)
  %param_1 = s32[8]{0} parameter(1)
  %bitcast = u16[8,1024]{1,0} bitcast(%param_0)
  %gather = u16[8,1,1]{2,1,0} gather(%bitcast, %param_1), slice_sizes={1,1}
  ROOT %convert = f32[8]{0} convert(%gather)
}

%body (p: (s32[], f32[8,1024])) -> (s32[], f32[8,1024]) {
  ROOT %p = (s32[], f32[8,1024]{1,0}) parameter(0)
}

ENTRY main (x.1: bf16[8,1024], t.1: s32[8]) -> bf16[8,1024] {
  %x.1 = bf16[8,1024]{1,0} parameter(0)
  %t.1 = s32[8]{0} parameter(1)
  %loop_fusion = f32[8]{0} fusion(%x.1, %t.1), kind=kLoop, calls=%fused_select
  %zero = s32[] constant(0)
  %convert = f32[8,1024]{1,0} convert(bf16[8,1024]{1,0} %x.1)
  %tuple = (s32[], f32[8,1024]{1,0}) tuple(%zero, %convert)
  %while = (s32[], f32[8,1024]{1,0}) while(%tuple), condition=%cond, body=%body
  %slice = f32[1,1024]{1,0} dynamic-slice(%convert, %zero, %zero), dynamic_slice_sizes={1,1024}
  ROOT %input_scatter_fusion = bf16[8,1024]{1,0} fusion(%x.1, %t.1), kind=kInput, calls=%fused_scatter
}
"""
ROWS = 8 * 1024  # of which each element is so many bytes:
BF16, F32 = 2, 4


def moved(hlo):
    found = imported("_transfers").instructions(hlo)
    return {each.name: (each.read, each.written) for each in found}


def test_what_a_tpu_program_moves():
    """Fails when vector memory is taken for main memory, a gather for a pass, or what only has a name for work."""
    assert moved(TPU) == {
        "copy-start": (8 * 4, 0),
        "reduce_max": (ROWS * BF16 + 2, 0),
        "gather_fusion": (8 * BF16, 8 * BF16),
        "gather.7": (8 * BF16 + 8 * 4, 8 * BF16),
        "fusion.3": (ROWS * BF16, ROWS * BF16),
    }
    transfers = imported("_transfers")
    found = transfers.instructions(TPU)
    assert transfers.transfers(found) == 3 * ROWS * BF16 + 2 + 2 * 8 * 4 + 4 * 8 * BF16
    assert transfers.kernels(found) == 4
    assert [each.cycles for each in found] == [None, 685, None, None, 15]


def test_what_a_gpu_program_moves():
    """Fails when what is scattered in place, sliced or gathered counts as passes, or a loop does not count."""
    assert moved(GPU) == {
        "loop_fusion": (8 * 2 + 8 * 4, 8 * F32),
        "convert": (ROWS * BF16, ROWS * F32),
        "while": (4 + ROWS * F32, 4 + ROWS * F32),
        "slice": (1024 * F32 + 4 + 4, 1024 * F32),
        "input_scatter_fusion": (8 * 4, 8 * BF16),
    }


def test_a_text_without_an_entry_is_no_program():
    """Fails when what is no compiled program counts as one that moves nothing."""
    with pytest.raises(ValueError, match="expected the text of a compiled module"):
        imported("_transfers").instructions("HloModule jit_f\n")


def test_an_operand_that_is_not_understood_is_refused():
    """Fails when a way of writing operands that is new to us makes them free."""
    with pytest.raises(ValueError, match=r"got \['unheard.of'\] of convert"):
        imported("_transfers").instructions(GPU.replace("} %x.1)", "} %unheard.of)"))


def test_a_scatter_into_something_computed_writes_all_of_it():
    """Fails when an update is taken to be in place although what it updates is not there yet."""
    text = GPU.replace("scatter(%param_0.6,", "scatter(%twice,").replace(
        "  %param_1.87 =", "  %twice = bf16[8,1024]{1,0} add(%param_0.6, %param_0.6)\n  %param_1.87 ="
    )
    assert moved(text)["input_scatter_fusion"] == (ROWS * BF16 + 8 * 4, ROWS * BF16)


def group(**changes):
    fields = {"topology": "v5e:2x2", "mesh": (1, 1), "source": "argument", "tokens": 8192, "classes": 32128}
    return imported("_compiled_losses").Group(**{**fields, "dtype": "bfloat16", **changes})


def request(contestant="lossproof", setting="smoothed", mode="forward"):
    return imported("_compiled_losses").Request(contestant, setting, mode)


def program(**changes):
    return {
        "transfers": 2.0,
        "temporaries": 0.01,
        "kernels": 3,
        "collectives": {},
        "bytes_per_token": 0.0,
        "flops": None,
        "cycles": None,
        "seconds": {"trace": 0.25, "lower": 0.25, "compile": 0.5},
        "processor_seconds": 1.5,
        **changes,
    }


def verdicts(*compiled):
    found = imported("_accelerator_goals").comparisons(compiled)
    return {(each.of, each.mode): (each.value, each.at_most, each.verdict) for each in found}


def test_goals_are_met_or_missed():
    """Fails when a goal is not looked up, or met and missed are mistaken for each other."""
    gradient = request(mode="value_and_grad")
    assert verdicts((group(), {request(): program(), gradient: program(transfers=4.2, temporaries=0.06)})) == {
        ("transfers", "forward"): (2.0, 2.15, "met"),
        ("transfers", "value_and_grad"): (4.2, 4.15, "missed"),
        ("temporaries", "forward"): (0.01, 0.05, "met"),
        ("temporaries", "value_and_grad"): (0.06, 0.05, "missed"),
    }


def test_goals_of_meshes():
    """Fails when an all-gather passes, or more all-reduces than the statistics need."""
    found = verdicts((group(mesh=(4, 4)), {request(): program(collectives={"all-reduce": 4, "all-gather": 2})}))
    assert found["all-reduces", "forward"] == (4, 3, "missed")
    assert found["other collectives", "forward"] == (2, 0, "missed")
    found = verdicts((group(mesh=(4, 4)), {request(): program(collectives={"all-reduce": 3})}))
    assert [found[of, "forward"][2] for of in ("all-reduces", "other collectives")] == ["met", "met"]


def test_what_does_not_compile_misses_its_goals():
    """Fails when a program that could not be compiled drops out of the goals."""
    found = verdicts((group(), {request(): {"error": "no"}, request("t5x"): program()}))
    assert set(found) == {("transfers", "forward"), ("temporaries", "forward"), ("compilation beside t5x", "forward")}
    assert {(value, verdict) for value, _, verdict in found.values()} == {(None, "missed")}


def test_goals_are_about_lossproof_smoothed_on_arguments_at_four_vocabularies():
    """Fails when something is held against a goal that is not about it."""
    programs = {request(): program()}
    assert verdicts((group(classes=50257), programs), (group(source="product"), programs)) == {}
    assert verdicts((group(), {request(setting="plain"): program(), request("t5x"): program()})) == {}


def test_compilation_is_compared_over_all_types_and_vocabularies():
    """Fails when the ratio is upside down, or of one program, whose times scatter."""
    groups = [
        (group(dtype=dtype), {request(): program(processor_seconds=ours), request("t5x"): program(processor_seconds=2)})
        for dtype, ours in (("float32", 1.0), ("bfloat16", 7.0))
    ]
    assert verdicts(*groups)["compilation beside t5x", "forward"] == (2.0, 1.5, "missed")


def test_table_shows_the_largest_of_all_vocabularies(tmp_path):
    """Fails when the README's table shows other numbers than the file has, or a failure as a number."""
    table = imported("_accelerator_table")
    compiled = [
        (group(), {request(): program(transfers=2.01), request("t5x"): program(transfers=3.0)}),
        (group(classes=128256), {request(): program(transfers=2.04, temporaries=0.046)}),
        (group(classes=50257), {request(): program(transfers=6.0)}),
        (group(topology="H200", dtype="float32"), {request(): {"error": "no"}}),
        (group(topology="v5e:4x4", mesh=(16, 1)), {request(): program(collectives={"all-reduce": 1, "all-gather": 2})}),
    ]
    text = table.markdown(compiled, ["met", "met", "missed"])
    rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in text.splitlines() if line.startswith("| ")}
    assert rows["| "][:4] == [f"{who} forward {t}" for who in ("**lossproof**", "t5x") for t in ("f32", "bf16")]
    assert rows["| v5e"][:4] == ["", "2.04 / 5", "", "3.00 / 1"]
    assert rows["| H200"][:2] == ["not compiled", ""]
    assert rows["| v5e:4x4 tokens sharded"][-1] == "2 all-gather, 1 |"
    assert rows["| v5e, V = 50257"][1] == "6.00 / 1"
    assert text.endswith("Goals: 2 met, 1 missed.")
    document = tmp_path / "README.md"
    document.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        table.put(document, text)
        assert document.read_text(encoding="utf-8") == f"before\n{table.BEGIN}\n\n{text}\n\n{table.END}\nafter\n"


def test_table_needs_its_place(tmp_path):
    """Fails when a document without the markers is overwritten."""
    document = tmp_path / "README.md"
    document.write_text("text\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the lines"):
        imported("_accelerator_table").put(document, "table")
    assert document.read_text(encoding="utf-8") == "text\n"


def test_the_readme_has_a_place_for_the_table():
    """Fails when --table has nowhere to write."""
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    table = imported("_accelerator_table")
    assert text.count(table.BEGIN) == text.count(table.END) == 1


def test_a_missing_compiler_is_named_with_the_extra_that_installs_it():
    """Fails when a machine without libtpu or the CUDA plugin gives a traceback, or no way out."""
    missing = imported("_absent_devices").missing
    assert missing(["v5e", "v4", "H200"], find=lambda _: None) == {
        "v5e, v4": "needs libtpu: pip install -e '.[tpu]'",
        "H200": "needs jax_cuda12_plugin or jax_cuda13_plugin: pip install -e '.[cuda]'",
    }
    assert missing(["v5e", "H200"], find=lambda name: name == "jax_cuda13_plugin") == {
        "v5e": "needs libtpu: pip install -e '.[tpu]'"
    }
    assert missing(["H200"], find=lambda name: name == "jax_cuda12_plugin") == {}


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        (operator.truediv, (1, 0), "ZeroDivisionError: division by zero"),
        (os._exit, (3,), "ended its process with exit status 3"),
        (os.abort, (), "ended its process with signal SIGABRT"),
        (time.sleep, (60,), "did not end in 5 s"),
    ],
)
def test_a_worker_says_why_there_is_no_result(function, arguments, reason):
    """Fails when a compiler that raises, crashes or hangs takes the whole run with it."""
    workers = imported("_workers")
    worker = workers.Worker(function, limit=5)
    with pytest.raises(workers.Refused, match=reason):
        worker(*arguments)
    worker.close()


def test_a_worker_works_on_after_a_crash():
    """Fails when what comes after a crash is lost."""
    workers = imported("_workers")
    worker = workers.Worker(operator.call, limit=60)
    with pytest.raises(workers.Refused, match="exit status 3"):
        worker(os._exit, 3)
    assert worker(operator.add, 1, 2) == 3
    worker.close()


class FakeWorker:
    """Compiles all but t5x's formula."""

    def __init__(self, *_):
        """Starts nothing."""

    def __call__(self, _, request):
        """Returns what a compiler might say."""
        if request.contestant == "t5x":
            raise imported("_workers").Refused("XlaRuntimeError: out of vector memory")
        return program()

    def close(self):
        """Nothing to end."""


@pytest.fixture
def compiled_by_fakes(monkeypatch):
    """Runs the command with a compiler for TPUs that is none, and without one for GPUs."""
    accelerators = imported("accelerators")
    monkeypatch.setattr(accelerators, "Worker", FakeWorker)
    monkeypatch.setattr(accelerators._absent_devices, "missing", lambda names: {"H200": "needs it"} if names else {})
    return accelerators


SMALL = [
    "--platforms",
    "v5e",
    "H200",
    "--meshes",
    "v5e:4x4",
    "--vocabularies",
    "32128",
    "50257",
    "--dtypes",
    "bfloat16",
]


def test_what_cannot_be_compiled_is_said_and_the_rest_goes_on(compiled_by_fakes, tmp_path, capsys):
    """Fails when a missing compiler, a V that a mesh does not divide or an error of a compiler goes unmentioned."""
    path = tmp_path / "accelerators.json"
    compiled_by_fakes.main([*SMALL, "--json", str(path)])
    printed = capsys.readouterr().out
    assert "H200: not compiled: needs it" in printed
    assert "left out: v5e:4x4 vocabulary sharded, V = 50257: 16 devices do not divide it" in printed
    assert "t5x smoothed forward: XlaRuntimeError: out of vector memory" in printed
    assert "V = 50257, N = 4096, bfloat16, logits are a product" in printed
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["complete"] is True
    assert [file.name for file in tmp_path.iterdir()] == ["accelerators.json"]
    places = {(each["where"], each["classes"], each["source"]) for each in stored["groups"]}
    assert places == {
        ("v5e", 32128, "argument"),
        ("v5e", 50257, "argument"),
        ("v5e", 50257, "product"),
        ("v5e:4x4 tokens sharded", 32128, "argument"),
        ("v5e:4x4 tokens sharded", 50257, "argument"),
        ("v5e:4x4 vocabulary sharded", 32128, "argument"),
        ("v5e:4x4 both sharded, 4x4", 32128, "argument"),
    }
    errors = {each["contestant"] for g in stored["groups"] for each in g["programs"] if "error" in each}
    assert errors == {"t5x"}
    # Of V = 32128: transfers and temporaries at four places, two goals more on three meshes; in two modes.
    assert [each["verdict"] for each in stored["goals"]] == ["met"] * 28
    assert printed.splitlines()[-1] == "goals: 28 met, 0 missed"


def test_a_resumed_run_compiles_only_what_is_left(compiled_by_fakes, monkeypatch, tmp_path):
    """Fails when an interrupted run is lost, a failure is kept, or other versions' numbers are mixed in."""
    path = tmp_path / "accelerators.json"
    options = [*SMALL, "--contestants", "lossproof", "--json", str(path)]
    compiled_by_fakes.main(options)
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["groups"][0]
    document["groups"][0]["programs"][0] = {**request()._asdict(), "error": "killed"}
    path.write_text(json.dumps(document), encoding="utf-8")
    asked = []
    monkeypatch.setattr(FakeWorker, "__call__", lambda _, group, __: asked.append(group) or program())
    compiled_by_fakes.main([*options, "--resume"])
    assert len(set(asked)) == 2
    assert len(json.loads(path.read_text(encoding="utf-8"))["groups"]) == 7
    monkeypatch.setattr(compiled_by_fakes, "versions", lambda: {"libtpu": "other"})
    with pytest.raises(ValueError, match="is of another compilers"):
        compiled_by_fakes.main([*options, "--resume"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--vocabularies", "1"], "every V must be at least 2"),
        (["--meshes", "v9:4x4"], "a topology must begin with one of v4, v5e"),
        (["--meshes", "v5e:3x4"], "--meshes takes 2^k devices, got v5e:3x4 with 12"),
        (["--resume"], "--resume needs --json"),
    ],
)
def test_a_wrong_option_is_named(options, message, capsys):
    """Fails when a run starts that has to end in a traceback."""
    with pytest.raises(SystemExit):
        imported("accelerators").main(options)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("source", ["argument", "product"])
@pytest.mark.parametrize("mode", ["forward", "value_and_grad"])
def test_a_program_is_compiled_and_measured(source, mode, monkeypatch):
    """Fails when an entry of the results is missing, or its unit is not the logits' bytes."""
    monkeypatch.setattr(jax, "clear_caches", lambda: None)  # those of the other tests are here too
    small = group(source=source, tokens=64, classes=1000, dtype="float32")
    found = imported("_compiled_losses").measure(small, request(mode=mode), jax.devices("cpu")[:1])
    assert found.keys() == program().keys()
    assert json.loads(json.dumps(found)) == found
    assert 0 < found["transfers"] < 100
    assert found["kernels"] > 0 and found["collectives"] == {} and found["bytes_per_token"] == 0
    assert found["processor_seconds"] > 0 and min(found["seconds"].values()) > 0
