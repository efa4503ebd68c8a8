"""authz_server/policy/additions.py."""

import pytest

from authz_server.policy.additions import check_adds, read_adds
from authz_server.policy.fields import Fields
from authz_server.policy.rule_entries import read_rule
from authz_server.policy.signal_entries import Known, read_signal
from authz_server.policy.words import Place
from tests.policy_nodes import faults_of, matches_in, read_entry

_SCORE = "{score: true, per: [principal], half_life: 1h}"
_COUNT = "{count: steps, per: [principal], window: 1h}"


def _read(text, team="", constants="{}"):
    node, scope = read_entry(text, constants)
    return read_adds(Fields(node, Place.RULE_FIELD, ("adds",), scope), team, scope), faults_of(scope)


def test_scores_and_units_are_read_in_the_order_of_the_names():
    """The order in which they are written means nothing."""
    assert _read("{adds: {risk: 30, heat: 1000}}") == ((("heat", 1000), ("risk", 30)), [])
    assert _read("{adds: {risk: $(some)}}", constants="{some: 5}") == ((("risk", 5),), [])
    assert _read("{}") == ((), [])


def test_a_teams_scores_carry_its_name():
    """As the signals themselves do."""
    assert _read("{adds: {risk: 30}}", team="billing") == ((("billing/risk", 30),), [])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{adds: {}}", ".adds: an empty `adds` adds nothing; leave it out"),
        ("{adds: [risk]}", ".adds: a mapping is expected, not a list"),
        ("{adds: {risk: 0}}", ".adds.risk: a whole number from 1 to 1000 is expected, not 0"),
        ("{adds: {risk: -5}}", ".adds.risk: a whole number from 1 to 1000 is expected, not -5"),
        ("{adds: {risk: 1001}}", ".adds.risk: a whole number from 1 to 1000 is expected, not 1001"),
        ("{adds: {risk: much}}", ".adds.risk: a whole number from 1 to 1000 is expected, not text"),
        (f"{{adds: {{{', '.join(f'r{i}: 1' for i in range(9))}}}}}", ".adds: at most 8 scores"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(rule, message):
    """What was found and what is expected."""
    faults = _read(rule)[1]
    assert len(faults) == 1
    assert faults[0].startswith(message)


def _checked(adds, team="", *, whole=True):
    """The faults of one rule's `adds`; the platform has `risk`, `heat` and `calls`, billing has `rush` and `hits`."""
    node, scope = read_entry(f"{{name: r, then: deny, adds: {adds}}}")
    rule = read_rule(node, "by-kind", matches_in(scope), scope, team)
    scope.report.whole = whole
    known = Known({}, ())
    signals = [
        read_signal(name, read_entry(text)[0], known, matches_in(scope), scope, owner)
        for name, text, owner in [
            ("risk", _SCORE, ""),
            ("heat", _SCORE, ""),
            ("calls", _COUNT, ""),
            ("rush", _SCORE, "billing"),
            ("hits", _COUNT, "billing"),
        ]
    ]
    check_adds([rule], signals, scope)
    return faults_of(scope)


def test_rules_add_to_scores_of_their_own_part_of_the_policy():
    """The platform to its own, a team to its own."""
    assert not _checked("{risk: 1, heat: 2}")
    assert not _checked("{rush: 1}", team="billing")


@pytest.mark.parametrize(
    ("adds", "team", "message"),
    [
        ("{rsk: 1}", "", ".adds.rsk: there is no score `rsk` in `signals`; did you mean `risk`?"),
        ("{risk: 1, calls: 1}", "", ".adds.calls: `calls` is a count; rules add to signals with `score: true`"),
        ("{rush: 1}", "", ".adds.rush: there is no score `rush` in `signals`"),
        ("{ruhs: 1}", "billing", ".adds.ruhs: there is no score `ruhs` in `signals`; did you mean `rush`?"),
        ("{hits: 1}", "billing", ".adds.hits: `hits` is a count; rules add to signals with `score: true`"),
        ("{risk: 1}", "billing", ".adds.risk: `risk` belongs to the platform; rules add to scores of the same owner"),
        ("{rush: 1}", "crm", ".adds.rush: there is no score `rush` in `signals`"),
        ("{billing/rush: 1}", "", ".adds.billing/rush: `billing/rush` belongs to team `billing`"),
        (
            "{billing/rush: 1}",
            "crm",
            ".adds.billing/rush: `billing/rush` belongs to team `billing`; rules add to scores of the same owner",
        ),
    ],
)
def test_a_name_that_is_no_score_is_named_at_its_place(adds, team, message):
    """A rule that adds to nothing would look stricter than it is, and what another owner has can be neither raised nor counted on."""
    faults = _checked(adds, team)
    assert len(faults) == 1
    assert faults[0].startswith(message)


def test_a_score_is_not_missed_when_a_file_could_not_be_read():
    """It may stand in that file."""
    assert not _checked("{rsk: 1}", whole=False)
    assert _checked("{calls: 1}", whole=False)
