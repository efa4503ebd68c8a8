"""JUnit XML: well-formed whatever the cases are called, with the counts and the differences that a server shows."""

from xml.etree import ElementTree as ET

from authz_server.trial.junit import encode_junit
from tests.tried import case, ran


def results():
    """One case that fails, and one that passes under a name made to break XML."""
    failing = ran(["{note: '</failure> & <b>', expect: {decision: deny, remedy: '<&>\"'}}", "{expect: {rule: ''}}"])
    passing = ran(["{}"])
    odd = passing.case._replace(name='a "quoted" <name> & more \' \ud800 \x01 \n end', file="other.cases.yaml")
    return [failing, passing._replace(case=odd)]


def test_the_document_is_valid_and_complete():
    """Suites by file, tests by case, a failure for each step that differs."""
    text = encode_junit(results())
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    assert root.attrib == {"tests": "2", "failures": "1", "errors": "0", "skipped": "0"}
    one, two = root
    assert (one.get("name"), one.get("failures")) == ("x.cases.yaml", "1")
    assert (two.get("name"), two.get("tests"), two.get("failures")) == ("other.cases.yaml", "1", "0")
    (test,) = one
    assert (test.get("name"), test.get("file"), test.get("line"), test.get("assertions")) == (
        "one",
        "x.cases.yaml",
        "3",
        "2",
    )
    assert [failure.get("message") for failure in test] == ["step 1: decision, remedy", "step 2: rule"]
    assert "decision: expected deny, found allow" in test[0].text
    assert "</failure> & <b>" in test[0].text


def test_names_cannot_break_it():
    """What XML forbids is replaced, all else comes through."""
    root = ET.fromstring(encode_junit(results()).encode())
    assert root[1][0].get("name") == 'a "quoted" <name> & more \' \ufffd \ufffd \n end'


def test_no_results():
    """An empty document is one too."""
    assert ET.fromstring(encode_junit([])).get("tests") == "0"
    assert case(["{}"]).name == "one"
