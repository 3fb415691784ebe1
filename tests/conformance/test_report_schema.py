"""The schema of a result."""

import runpy
from pathlib import Path

import pytest

from lossproof.conformance import report
from lossproof.conformance.report import _schema

SAMPLES = runpy.run_path(str(Path(__file__).with_name("_documents.py")))


@pytest.fixture(params=SAMPLES["KINDS"])
def document(request):
    """Each kind of result."""
    return SAMPLES[request.param]()


def test_schema_accepts_what_a_run_writes(document):
    """Fails when a result that the suite writes is refused by the schema that it publishes."""
    report.validate(document)


def walk(schema, path="$"):
    """Every object schema in a schema, and every property's."""
    if isinstance(schema, dict):
        yield path, schema
        for name, inner in schema.items():
            yield from walk(inner, f"{path}.{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from walk(inner, path)


def test_schema_is_strict_and_says_what_each_property_is():
    """Fails when an object of the format lets unknown members in, or a member has no description."""
    schema = _schema._validator().schema
    _schema._validator().check_schema(schema)
    objects = [(path, inner) for path, inner in walk(schema) if inner.get("type") == "object"]
    assert len(objects) > 10
    for path, inner in objects:
        assert inner.get("additionalProperties") is not None, path
        if "properties" not in inner:
            continue
        assert inner["additionalProperties"] is False, path
        assert set(inner["required"]) == set(inner["properties"]), path
        silent = [name for name, member in inner["properties"].items() if len(member.get("description", "")) < 3]
        plain = [name for name in silent if inner["properties"][name] != {"$ref": "#/$defs/share"}]
        assert plain == [], path


def remove(document, *path):
    for step in path[:-1]:
        document = document[step]
    del document[path[-1]]


def put(document, value, *path):
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("format",), "lossproof-result-2", "$.format: expected 'lossproof-result-1', got 'lossproof-result-2'"),
        (("units", 3, "verdict"), "passed", "$.units[3].verdict: 'passed' is not one of"),
        (("clauses", 0, "verdict"), "not applicable", "$.clauses[0].verdict"),
        (("units", 0, "cases"), -1, "$.units[0].cases: -1 is less than"),
        (("units", 0, "values"), float("nan"), "$.units[0].values: nan is not of type 'number', 'null'"),
        (("environment", "seconds"), float("inf"), "$.environment.seconds: inf is not of type 'number'"),
        (("environment", "seconds"), None, "$.environment.seconds: None is not of type 'number'"),
        (("environment", "mood"), "good", "$.environment: Additional properties are not allowed ('mood'"),
        (("grades", 0, "grade"), "D", "$.grades[0].grade: 'D' is not one of"),
        (("grades", 0, "utilisation", "A"), True, "$.grades[0].utilisation.A: True is not of type"),
        (("utilisation", "values", "histogram", 0), [0, 1], "$.utilisation.values.histogram[0]"),
        (("utilisation", "values", "quantiles", "half"), 0.5, "$.utilisation.values.quantiles"),
        (("survey", 0, "by"), "weather", "$.survey[0].by"),
        (("target", "sources", "mine.py"), "abc", "$.target.sources['mine.py']"),
        (("verdict", "exit_code"), 2, "$.verdict.exit_code"),
        (("settings", "level"), "huge", "$.settings.level"),
    ],
)
def test_schema_refuses_what_is_wrong_and_says_where(path, value, said):
    """Fails when a wrong result is taken for a right one, or the user must search for what is wrong."""
    document = SAMPLES["failing"]()
    put(document, value, *path)
    with pytest.raises(report.DocumentError) as caught:
        report.validate(document)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "path", [("format",), ("units",), ("units", 5, "worst"), ("target", "convention", "smoothing")]
)
def test_schema_refuses_what_is_incomplete(path):
    """Fails when a member of the format may be missing: each reader would have to guess what that means."""
    document = SAMPLES["failing"]()
    remove(document, *path)
    with pytest.raises(report.DocumentError):
        report.validate(document)


@pytest.mark.parametrize("value", [None, [], "text", 1.5, {}])
def test_schema_refuses_what_is_no_document(value):
    """Fails when something that is no result at all is a traceback."""
    with pytest.raises(report.DocumentError, match="no result of this version"):
        report.validate(value)
