"""A program that speaks the protocol of docs/exec-protocol.md, or departs from it by a line or two."""

import json
import shlex
import sys

from lossproof.conformance.judging.draw import make
from lossproof.spec import TOKEN

ROW, TARGETS = [[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]], [0, 2]
CASE = make(TOKEN, "float32", ROW, TARGETS)

DECLARED = {
    "protocol": 1,
    "functions": {TOKEN: {"outputs": ["loss"], "arguments": ["logits", "targets"]}},
    "dtypes": ["float32", "float64"],
    "derivatives": ["logits"],
}

# `starts` counts how often it was started; the losses are 1 and the gradients 0 unless `end` says otherwise.
SOURCE = """
import json, math, os, signal, sys, time
log = open({log!r}, "a+")
for text in sys.stdin:
    log.write(text)
    log.flush()
    log.seek(0)
    starts = log.read().count("hello")
    request = json.loads(text)
    if request["op"] == "hello":
        answer = {declared!r}
        {hello}
    else:
        inputs = request["inputs"]
        answer = {{"id": request["id"], "outputs": {{"loss": [1.0] * len(inputs["targets"])}}}}
        if request["op"] == "gradients":
            answer["gradients"] = {{"logits": [0.0] * len(inputs["logits"])}}
        {end}
    print(json.dumps(answer), flush=True)
"""


def program(folder, end="pass", hello="pass", declared=DECLARED):
    """Writes it, and returns the command."""
    path = folder / "program.py"
    log = str(folder / "requests.txt")
    path.write_text(SOURCE.format(declared=declared, log=log, hello=hello, end=end), encoding="utf-8")
    return shlex.join([sys.executable, "-S", "-E", str(path)])


def requests(folder):
    """What the program was sent."""
    return [json.loads(line) for line in (folder / "requests.txt").read_text("utf-8").splitlines()]
