"""The ids of security frameworks."""

import re

import pytest

from authz_server.policy.frameworks import FRAMEWORKS, framework_of, unknown_tag


def test_the_tables_are_whole():
    """As many ids as the frameworks have: a typing error in a packed table shows here."""
    assert {prefix: len(framework.ids) for prefix, framework in FRAMEWORKS.items()} == {
        "owasp": 10,
        "attack": 714,
        "atlas": 170 + 35,
        "csf": 6 + 22 + 106,
        "maestro": 7,
    }


def test_every_id_has_the_form_of_its_framework():
    """Nothing else was unpacked."""
    forms = {
        "owasp": r"ASI[0-9]{2}",
        "attack": r"T[0-9]{4}(\.[0-9]{3})?",
        "atlas": r"AML\.(T[0-9]{4}(\.[0-9]{3})?|M[0-9]{4})",
        "csf": r"[A-Z]{2}(\.[A-Z]{2}(-[0-9]{2})?)?",
        "maestro": r"L[1-7]",
    }
    for prefix, framework in FRAMEWORKS.items():
        assert all(re.fullmatch(forms[prefix], name) for name in framework.ids)


@pytest.mark.parametrize(
    "tag",
    [
        "owasp:ASI01",
        "owasp:ASI10",
        "attack:T1550",
        "attack:T1550.001",
        "attack:T1078.004",
        "attack:T1685.006",
        "atlas:AML.T0053",
        "atlas:AML.T0091.000",
        "atlas:AML.M0028",
        "csf:PR",
        "csf:PR.AA",
        "csf:PR.AA-05",
        "csf:DE.CM-09",
        "maestro:L6",
    ],
)
def test_known_tags(tag):
    """Ids of functions, categories, techniques and parts of them."""
    assert unknown_tag(tag) == ""
    assert framework_of(tag) == tag.partition(":")[0]


@pytest.mark.parametrize("tag", ["payments", "team:billing", "owasp-tm:T17", "pci:3.4", "a:b:c", ":x", "attack"])
def test_tags_of_the_author_are_never_wrong(tag):
    """Other prefixes, and none, belong to nobody else."""
    assert unknown_tag(tag) == ""
    assert framework_of(tag) == ""


@pytest.mark.parametrize(
    ("tag", "near"),
    [
        ("owasp:ASI11", "`owasp:ASI10`"),
        ("owasp:asi03", "`owasp:ASI03`"),
        ("OWASP:ASI03", "`owasp:ASI03`"),
        ("attack:t1550.1", "`attack:T1550"),
        ("attack:T1550.9", "`attack:T1550"),
        ("atlas:T0053", "`atlas:AML.T0053`"),
        ("atlas:AML.T0053.9", "`atlas:AML.T005"),
        ("csf:PR.AA-5", "`csf:PR.AA-05`"),
        ("csf:pr.aa-05", "`csf:PR.AA-05`"),
        ("csf:PR.AC-4", "in NIST CSF 2.0 it is `csf:PR.AA-05`"),
        ("csf:DE.CM-04", "`csf:DE.CM-0"),
        ("attack:TA0010", "is a tactic"),
    ],
)
def test_an_unknown_tag_of_a_framework_is_told_with_the_nearest(tag, near):
    """A gap in the coverage that would stay unseen."""
    message = unknown_tag(tag)
    assert message.startswith(f"`{tag}` is ")
    assert near in message


@pytest.mark.parametrize("tag", ["csf:XX", "attack:", "maestro:8", "attack:T9999999"])
def test_what_is_like_nothing_gets_no_suggestion(tag):
    """A wrong hint is worse than none."""
    message = unknown_tag(tag)
    assert FRAMEWORKS[tag.partition(":")[0]].title in message
    assert "did you mean" not in message
