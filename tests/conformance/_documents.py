"""Results as a run writes them: of a target that conforms, of one that does not, and of a hostile one."""

import math
from collections import Counter

from lossproof.conformance.judging.charges import SUBJECTS
from lossproof.conformance.targets._limits import Limits
from lossproof.spec import CLAUSES

FUNCTIONS = {
    "token": "token_cross_entropy",
    "weighted": "compute_weighted_cross_entropy",
    "dense": "cross_entropy_with_logits",
}
KINDS = ("conforming", "failing", "no_verdict", "with_every_verdict", "hostile")
DTYPES = ("float64", "float32", "bfloat16", "float16")
CONFIDENCE = (0, 1, 2, 5, 10, 20, 40, 80)
OFFSETS = (-1e6, -1e4, -1e3, -1e2, 0, 1e2, 1e3, 1e4, 1e6)
CLASSES = (2, 3, 16, 257, 4096, 32128)

# What a target like torch's breaks, and how a run says so.
BROKEN = {
    "STATE-1": (
        "fail",
        "loss[0] is nan, exactly 1.3132616875182228; {call}",
        "token_cross_entropy(logits=float32[1, 3](0x1p+0, 0x1p+1, -inf), targets=int32[1](0), label_smoothing=0x1p-3)",
    ),
    "ACC-1": (
        "fail",
        "loss[0] is 0.0, exactly 4.1223072448771157e-09: 1.28e+07 times the allowed error, 3.2e-16; {call}",
        "token_cross_entropy(logits=float32[1, 3](0x1.4p+4, 0x0p+0, 0x0p+0), targets=int32[1](0))",
    ),
    "SHAPE-1": (
        "fail",
        "logits [2, 3] and targets [3] must be a ValueError that names both shapes, got IndexError",
        "",
    ),
    "SHAPE-4": ("error", "the target's process was killed by SIGSEGV (memory limit 4 GiB, time limit 60 s)", ""),
}


def check_of(clause):
    """A check's id, made of the clause's."""
    words = "".join(letter if letter.isalnum() else "_" for letter in CLAUSES[clause].title.lower())
    return f"{clause.split('-')[0].lower()}.{words}"


def conforming(name="lossproof"):
    """A target that keeps every clause: three functions, three dtypes."""
    units = [unit(clause, short, dtype, "pass") for clause in CLAUSES for short in FUNCTIONS for dtype in DTYPES[:3]]
    grades = [grade(short, dtype, q, "A", 0.4) for short in FUNCTIONS for dtype in DTYPES for q in QUANTITIES]
    survey = [row for short in FUNCTIONS for dtype in DTYPES for row in accurate(short, dtype)]
    return document(name, units, grades, survey)


def failing(name="torch"):
    """A target with one function, which breaks some clauses and does not offer others."""
    units = []
    for number, clause in enumerate(CLAUSES):
        for dtype in DTYPES[:3]:
            verdict = "unsupported" if number % 3 == 2 and clause not in BROKEN else "pass"
            if clause in BROKEN and not (clause == "ACC-1" and dtype == "float64"):
                units.append(unit(clause, "token", dtype, *BROKEN[clause]))
            else:
                units.append(
                    unit(clause, "token", dtype, verdict, f"{name}'s token_cross_entropy has no output z_loss")
                )
    grades = [grade("token", dtype, q, "B", 0.31) for dtype in DTYPES[:2] for q in QUANTITIES]
    grades += [grade("token", "bfloat16", q, "none", 77.0, 0.0019) for q in QUANTITIES]
    grades += [grade("token", "float16", q, "none", None) for q in QUANTITIES]
    survey = [row for dtype in DTYPES[:3] for row in careless("token", dtype)]
    made = document(name, units, grades, survey)
    call = calls_of("label_smoothing")[0] | {"function": "token_cross_entropy", "how": ""}
    made["cause"] = {
        "defect": {
            "name": "log_of_softmax",
            "what": "the logarithm of probabilities, which is infinite where they underflow",
            "clauses": ["VALUE-2", "VALUE-1"],
            "matches": 5,
            "inputs": 7,
            "digits": False,
            "units": [],
        },
        "others": [],
        "axes": [
            {"where": "where no logit is -inf", "wrong": 0, "right": 31},
            {"where": "where logits are masked with -inf", "wrong": 9, "right": 0},
        ],
        "simplest": {
            "unit": units[0]["id"],
            "call": call,
            "answer": {"loss": {"dtype": "float32", "shape": [1], "data": ["nan"]}},
            "right": {"loss": {"dtype": "float64", "shape": [1], "data": ["0x1.5p+0"]}},
        },
        "note": "",
    }
    return made


def no_verdict(name="mine.py:loss"):
    """A run in which the suite itself failed."""
    units = [unit(clause, "token", "float32", "pass") for clause in list(CLAUSES)[:20]]
    units[3] = unit("SHAPE-4", "token", "float32", "void", "the bound on loss is so loose that zeros would pass")
    units[4] = unit(
        "SHAPE-5", "token", "float32", "internal", "Traceback (most recent call last):\n  ...\nKeyError: 'x'"
    )
    return document(name, units, [], [])


def with_every_verdict(name="mixed"):
    """A document in which every verdict occurs, of units and clauses."""
    words = ("pass", "fail", "error", "expected-fail", "unexpected-pass", "unsupported", "not run", "void", "internal")
    units = [
        unit(clause, "token", "float32", word, f"it is {word}") for clause, word in zip(CLAUSES, words, strict=False)
    ]
    units.append(unit("SHAPE-1", "dense", "float32", "not applicable", "about others"))
    made = document(name, units, [], [])
    made["clauses"].append(clause_in_part("STATE-3"))
    return made


def clause_in_part(clause):
    """A clause of which a part was compared."""
    named = {"id": clause, "group": clause.split("-")[0], "title": CLAUSES[clause].title, "verdict": "in part"}
    return named | {"units": 1, "cases": 20} | compared(clause, "in part", []) | {"reason": "it has no output z_loss"}


def calls_of(text):
    """The calls of a failure, with `text` wherever a target has a say."""
    logits = {"dtype": "float32", "shape": [1, 3], "data": ["0x1.99999ap-4", "0x1p+1", "-inf"]}
    inputs = {"logits": logits, "targets": {"dtype": "int32", "shape": [1], "data": [0]}, text: text}
    cotangents = {"loss": {"dtype": "float64", "shape": [1], "data": ["0x1p+0"]}}
    made = {"method": "differentiate", "function": text, "traced": True, "inputs": inputs, "cotangents": cotangents}
    return [made | {"tangents": {}, "vector": None, "how": text}]


def hostile():
    """A target whose every text tries to get out of where it is put."""
    text = (
        "<script>alert(1)</script>\"'&]]>--><img src=http://evil.example/x onerror=alert(1)>\0\x1b[31m\ud800{{ 7 * 7 }}"
    )
    made = failing(text)
    for one in made["units"]:
        one["message"] += text
        one["worst"] += text
        one["calls"] = calls_of(text) if one["verdict"] == "fail" else []
    made["units"].append(unit("SHAPE-1", "token", text, "fail", "no unit has such a name"))
    worst = {"unit": text, "clauses": ["ACC-1"], "quantity": "values", "utilisation": None, "case": text, "call": None}
    made["worst"] = [worst | {"command": text}]
    made["expectations"] = [
        {"clause": "STATE-1", "unit": None, "reason": text, "link": "javascript:alert(1)", "met": True},
        {"clause": None, "unit": text, "reason": "known", "link": "https://example.org/7", "met": False},
    ]
    made["cause"]["defect"] |= {"name": text, "what": text}
    made["cause"]["axes"][0]["where"] = made["cause"]["note"] = text
    made["cause"]["simplest"] |= {"unit": text, "call": calls_of(text)[0], "answer": {text: text}}
    made["clauses"][0]["title"] = text
    made["verdict"]["reasons"] = [text]
    for row in made["survey"] + made["grades"]:
        row["function"] = text
    made["environment"] |= {"host": text, "packages": {text: text}}
    made["target"] |= {"adapter": text, "packages": {text: text}, "sources": {text: "0" * 64}}
    made["target"]["functions"] = {text: {"outputs": [text], "arguments": [text], "required": [text]}}
    made["settings"] |= {"command": text, "only": [text]}
    return made


QUANTITIES = ("values", "gradients")


def unit(clause, short, dtype, verdict, message="", call=""):
    """A unit that checks one clause."""
    breach = verdict in {"fail", "error", "expected-fail"}
    share = None if "nan" in message else 1.28e7 if breach and call else 0.4
    asked = verdict not in {"unsupported", "not applicable"}
    return {
        "id": f"{check_of(clause)}[{short}-{dtype}]",
        "clauses": [clause],
        "verdict": verdict,
        "message": message.format(call=call) if verdict != "pass" else "",
        "broken": [clause] if breach else [],
        "cases": 20 if asked else 0,
        "values": share if asked else 0.0,
        "gradients": 0.2 if asked else 0.0,
        "worst": f"loss: {call}" if call else "",
        "calls": [],
        "golden": None,
    }


def grade(short, dtype, quantity, letter, share, roundoff=None):
    """A grade; `share` is of the grade's own bound."""
    shares = {"A": share, "B": share, "C": share}
    return {
        "function": FUNCTIONS[short],
        "dtype": dtype,
        "quantity": quantity,
        "grade": letter,
        "utilisation": shares,
        "cases": 96,
        "roundoff": roundoff,
    }


def row(short, dtype, quantity, by, at, ulp):
    """A row of the survey; half the bound is used where the error is one ulp."""
    share = None if ulp is None else ulp / 2
    names = {"function": FUNCTIONS[short], "dtype": dtype, "quantity": quantity}
    return names | {"by": by, "at": float(at), "ulp": ulp, "utilisation": share}


def accurate(short, dtype):
    """Errors of one or two ulp everywhere."""
    base = {"float64": 0.9, "float32": 0.8, "bfloat16": 0.6, "float16": 0.7}[dtype]
    for quantity in QUANTITIES:
        factor = 1.0 if quantity == "values" else 1.3
        for index, at in enumerate(CONFIDENCE):
            yield row(short, dtype, quantity, "confidence", at, base * factor * (1 + 0.4 * math.sin(index)))
        for index, at in enumerate(OFFSETS):
            if dtype != "float16" or abs(at) < 1e5:
                yield row(short, dtype, quantity, "offset", at, base * factor * (1 + 0.2 * math.cos(index)))
        for index, at in enumerate(CLASSES):
            yield row(short, dtype, quantity, "classes", at, base * factor * (1 + 0.1 * index))


def careless(short, dtype):
    """Errors that grow, an exact one and infinite ones."""
    for quantity in QUANTITIES:
        for at in CONFIDENCE:
            grown = None if at == 80 else 0.6 * math.exp(at * 0.85)
            yield row(short, dtype, quantity, "confidence", at, 0.0 if at == 0 else grown)
        for at in OFFSETS:
            yield row(short, dtype, quantity, "offset", at, 0.7 + abs(at) / (1 if dtype == "bfloat16" else 100))
        for at in CLASSES:
            yield row(short, dtype, quantity, "classes", at, None if at == 32128 else 0.3 * at**0.8)


def used(units, quantity):
    """Histogram and quantiles like those of the units, of more arrays."""
    broken = sum(one[quantity] is None for one in units)
    over = sum((one[quantity] or 0) > 1 for one in units)
    bins = [[0.0, 0.0, 700]]
    bins += [[2 ** ((n - 1) / 2), 2 ** (n / 2), round(900 * math.exp(-((n + 5) ** 2) / 30))] for n in range(-20, 1)]
    bins += [[2**23.0, 2**23.5, over]] if over else []
    bins += [[None, None, broken]] if broken else []
    largest = None if broken else max(one[quantity] for one in units)
    return {"histogram": bins, "quantiles": {"0.5": 0.11, "0.9": 0.32, "0.99": 0.71, "1": largest}}


ORDER = (
    "error",
    "fail",
    "unexpected-pass",
    "internal",
    "void",
    "expected-fail",
    "not run",
    "pass",
    "unsupported",
)


def compared(clause, verdict, citing):
    """What is said of a clause's comparisons."""
    subjects = list(SUBJECTS[clause])
    done = {"pass": subjects, "in part": subjects[:1]}.get(verdict, [])
    reason = next((one["message"] for one in citing if one["verdict"] == verdict), "")
    return {
        "comparisons": 40 * len(done),
        "compared": dict.fromkeys(done, 40),
        "missing": [subject for subject in subjects if subject not in done],
        "reason": reason,
    }


def document(name, units, grades, survey):
    """The result of a run of these units."""
    clauses = []
    for clause, title in ((clause, said.title) for clause, said in CLAUSES.items()):
        citing = [one for one in units if clause in one["clauses"] and one["verdict"] in ORDER]
        if citing:
            verdict = min((one["verdict"] for one in citing), key=ORDER.index)
            clauses.append(
                {
                    "id": clause,
                    "group": clause.split("-")[0],
                    "title": title,
                    "verdict": verdict,
                    "units": len(citing),
                    "cases": sum(one["cases"] for one in citing),
                    **compared(clause, verdict, citing),
                }
            )
    found = {one["verdict"] for one in clauses}
    own, breach = found & {"void", "internal", "not run"}, found & {"fail", "error", "unexpected-pass"}
    word, code = ("does not conform", 1) if breach else ("no verdict", 3) if own else ("conforms", 0)
    command = f"lossproof check {name} --level standard --seed 0"
    worst = sorted((one for one in units if one["worst"]), key=lambda one: one["values"] is not None)[:10]
    return {
        "format": "lossproof-result-1",
        "lossproof": "0.1.0",
        "target": {
            "name": name,
            "adapter": "TorchTarget",
            "sources": {"mine.py": "5e" * 32},
            "packages": {"torch": "2.13.0"},
            "convention": {
                "smoothing": "uniform",
                "subtract_entropy": False,
                "add_z_loss": False,
                "ignore_index": -100,
                "reduction": "mean",
            },
            "limits": Limits(ranks=(1,)).to_json(),
            "functions": {
                function: {"outputs": ["loss"], "arguments": ["logits", "targets", "label_smoothing"], "required": []}
                for function in FUNCTIONS.values()
            },
        },
        "settings": {
            "level": "standard",
            "seed": 0,
            "only": [],
            "dtypes": [],
            "convention": "",
            "profile": "jax-cpu",
            "command": command,
        },
        "environment": {
            "started": "2026-01-31T12:00:00Z",
            "seconds": 170.2,
            "workers": 2,
            "host": "elsewhere",
            "system": "Linux x86_64",
            "python": "3.11.7",
            "device": "cpu",
            "packages": {"numpy": "2.4.6", "jax": "0.10.2"},
            "unit_seconds": {one["id"]: 0.25 for one in units[1:]},
        },
        "verdict": {"word": word, "exit_code": code, "reasons": []},
        "cause": {"defect": None, "others": [], "axes": [], "simplest": None, "note": ""},
        "counts": {
            "cases": sum(one["cases"] for one in units),
            "units": len(units),
            "units_by_verdict": dict(Counter(one["verdict"] for one in units)),
            "clauses_by_verdict": dict(Counter(one["verdict"] for one in clauses)),
        },
        "coverage": {
            "cells": {"pass": 7, "fail": 2, "unsupported": 1},
            "pairs": {"all": 900, "excluded": 100, "model": 800, "judged": 600, "unsupported": 50, "share": 0.9231},
            "triples": None,
            "axes": {"logits": {"float32": [5, 1, 0], "bfloat16": [2, 1, 1]}},
        },
        "clauses": clauses,
        "grades": grades,
        "utilisation": {quantity: used(units, quantity) for quantity in QUANTITIES},
        "survey": survey,
        "worst": [
            {
                "unit": one["id"],
                "clauses": one["clauses"],
                "quantity": "values",
                "utilisation": one["values"],
                "case": one["worst"],
                "call": None,
                "command": f"{command} --only {one['id']!r}",
            }
            for one in worst
        ],
        "expectations": [],
        "units": units,
    }
