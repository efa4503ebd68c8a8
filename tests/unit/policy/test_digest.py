"""authz_server/policy/digest.py."""

from dataclasses import replace
from pathlib import Path

import pytest

from authz_server.policy.digest import digest_of
from authz_server.policy.entries import Defaults
from authz_server.policy.schema import parse_policy

_COMPLETE = Path(__file__).parent / "data" / "complete"
_FILES = {str(path.relative_to(_COMPLETE)): path.read_bytes() for path in sorted(_COMPLETE.rglob("*.yaml"))}
_TEXT = parse_policy(_FILES).text
_SECTIONS = [
    "facts", "actions", "signals", "rules", "teams", "legacy", "contained", "tasks", "exceptions", "envelopes", "inject",
]  # fmt: skip


def _digest(text):
    return digest_of(parse_policy({"a.yaml": f"version: 1\n{text}".encode()}).text)


def test_a_digest_is_short_and_stable():
    """16 hexadecimal digits, the same for the same text."""
    assert len(digest_of(_TEXT)) == 16
    assert int(digest_of(_TEXT), 16)
    assert digest_of(_TEXT) == digest_of(parse_policy(_FILES).text)


@pytest.mark.parametrize("section", _SECTIONS)
def test_every_section_counts_and_its_order_does_not(section):
    """The complete example has entries in each of them."""
    entries = getattr(_TEXT, section)
    assert entries
    assert digest_of(replace(_TEXT, **{section: entries[1:]})) != digest_of(_TEXT)
    assert digest_of(replace(_TEXT, **{section: entries[::-1]})) == digest_of(_TEXT)


def test_the_rest_of_a_policy_counts_too():
    """Constants, defaults and the mode of the server."""
    others = [replace(_TEXT, vars={}), replace(_TEXT, defaults=Defaults("deny")), replace(_TEXT, shadow=True)]
    assert len({digest_of(text) for text in (_TEXT, *others)}) == 4


def test_layout_and_files_do_not_count():
    """Comments, places and the order of patterns neither."""
    one = _digest(
        "actions:\n  - {name: a, match: {host: [x, y], path: /a}, kind: read}\nrules: [{name: r, match: {action: [a, unclassified]}, then: deny}]\n"
    )
    two = _digest(
        "# more\nrules:\n  - name: r\n    then: deny\n    match: {action: [unclassified, a]}\nactions: [{name: a, kind: read, match: {path: /a, host: [y, x]}}]"
    )
    assert one == two


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("signals: {s: {sequence: [discovery, impact], per: principal, window: 1h}}", "signals: {s: {sequence: [impact, discovery], per: principal, window: 1h}}"),
        ("vars: {l: [a, b]}", "vars: {l: [b, a]}"),
        (
            "actions: [{name: a, match: {path: /a}, kind: read, cases: [{method: GET, stage: impact}, {method: [GET, PUT], stage: discovery}]}]",
            "actions: [{name: a, match: {path: /a}, kind: read, cases: [{method: [GET, PUT], stage: discovery}, {method: GET, stage: impact}]}]",
        ),
    ],
)  # fmt: skip
def test_order_counts_where_it_means_something(one, two):
    """Stages, cases, and lists that a condition can index."""
    assert _digest(one) != _digest(two)


def test_every_field_of_an_entry_counts():
    """The place of the entry does not."""
    rule = _TEXT.rules[0]
    changed = [
        replace(rule, enforce=5),
        replace(rule, team="x"),
        replace(rule, when="true"),
        replace(rule, alert="low"),
    ]
    texts = [replace(_TEXT, rules=(each, *_TEXT.rules[1:])) for each in (rule, *changed)]
    assert len({digest_of(text) for text in texts}) == 5
    assert digest_of(replace(_TEXT, rules=(replace(rule, where=_TEXT.rules[1].where), *_TEXT.rules[1:]))) == digest_of(
        _TEXT
    )
