"""A result as JUnit XML, for servers that show test runs."""

from xml.etree import ElementTree as ET

from lossproof.conformance.diagnosis.inputs import shown
from lossproof.conformance.judging.result import ERROR, FAIL, INTERNAL, PASS, UNEXPECTED_PASS, VOID
from lossproof.conformance.report._schema import Document
from lossproof.conformance.report.page.text import clean
from lossproof.conformance.report.page.view import headline, repeat_command

# The element that says so; verdicts that are not here say that nothing was asked, or that it came as expected.
_ELEMENTS = {FAIL: "failure", UNEXPECTED_PASS: "failure", ERROR: "error", VOID: "error", INTERNAL: "error"}


def junit(document: Document) -> str:
    """Returns one test case per unit: its check is the class, its id the name.

    Args:
      document: a result that `validate` accepts.
    """
    settings, environment = document["settings"], document["environment"]
    suite = ET.Element(
        "testsuite",
        {
            "name": clean(f"lossproof {document['target']['name']}"),
            "tests": str(len(document["units"])),
            "time": _seconds(environment["seconds"]),
            "timestamp": environment["started"].removesuffix("Z"),
            "hostname": clean(environment["host"]),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name in ("level", "seed", "profile", "convention", "command"):
        ET.SubElement(properties, "property", {"name": name, "value": clean(str(settings[name]))})
    ET.SubElement(properties, "property", {"name": "verdict", "value": clean(headline(document))})
    found = {"failure": 0, "error": 0, "skipped": 0}
    for unit in document["units"]:
        case = ET.SubElement(
            suite,
            "testcase",
            {
                "classname": clean(unit["id"].partition("[")[0]),
                "name": clean(unit["id"]),
                "time": _seconds(environment["unit_seconds"].get(unit["id"], 0.0)),
            },
        )
        if unit["verdict"] == PASS:
            continue
        kind = _ELEMENTS.get(unit["verdict"], "skipped")
        found[kind] += 1
        first = f"{unit['verdict']}: {unit['message']}".splitlines()[0]
        element = ET.SubElement(case, kind, {"message": clean(first)})
        if kind != "skipped":
            element.set("type", unit["verdict"])
            given = shown(unit["calls"]) or unit["worst"]
            lines = [" ".join(unit["broken"]), unit["message"], given, repeat_command(document, unit["id"])]
            element.text = clean("\n".join(line for line in lines if line))
    suite.attrib |= {"failures": str(found["failure"]), "errors": str(found["error"]), "skipped": str(found["skipped"])}
    suites = ET.Element("testsuites", {"name": "lossproof", **{k: v for k, v in suite.items() if k in _COUNTS}})
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


_COUNTS = ("tests", "failures", "errors", "skipped", "time")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
