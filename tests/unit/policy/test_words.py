"""authz_server/policy/words.py."""

import pytest

from authz_server.policy import words
from authz_server.policy.entries import SignalWord
from authz_server.policy.facts import BARE, FACTS, OUTCOME_FACTS
from authz_server.policy.report import Report
from authz_server.policy.words import Place, full_name, unknown
from authz_server.verdict import Effect

_SUPPORTED = {
    Place.SECTION: words.SECTIONS,
    Place.ENVIRONMENT: words.ENVIRONMENT_SECTIONS,
    Place.REQUEST_KEY: words.REQUEST_KEYS,
    Place.STEP_KEY: words.STEP_KEYS,
    Place.ACTION_FIELD: words.ACTION_FIELDS,
    Place.CASE_FIELD: words.CASE_FIELDS,
    Place.SIGNAL_FIELD: words.SIGNAL_FIELDS,
    Place.ENTITY: words.ENTITY_WORDS,
    Place.RULE_FIELD: words.RULE_FIELDS,
    Place.EFFECT: words.EFFECTS,
    Place.SCOPE: words.SCOPES,
}


@pytest.mark.parametrize("place", _SUPPORTED)
def test_no_word_stands_twice_in_a_list(place):
    """Messages list them."""
    assert len(set(_SUPPORTED[place])) == len(_SUPPORTED[place])


def test_every_effect_is_a_word():
    """A new effect must be decided on."""
    assert {*words.EFFECTS} == {effect.value for effect in Effect}


def test_every_kind_of_signal_is_a_field_of_a_signal():
    """The field says what is measured."""
    assert {word.value for word in SignalWord} <= set(words.SIGNAL_FIELDS)


def test_the_words_of_keys_are_entities_and_closed_plain_facts():
    """No open map, no yes or no, nothing that is known only after the answer."""
    assert {"principal", "task", "task.id", "task.depth", "mcp.tool", "a2a.agent"} <= set(words.ENTITY_WORDS)
    assert not {"task.covers", "mcp.arguments", "metadata", "now", *OUTCOME_FACTS} & set(words.ENTITY_WORDS)
    assert set(words.ENTITY_WORDS) <= {*BARE, *FACTS}


def test_teams_have_no_words_of_their_own():
    """What they may hold is a part of what the platform may."""
    assert set(words.TEAM_SECTIONS) < set(words.SECTIONS)


def test_an_unknown_word_is_told_with_its_place_and_the_nearest_one():
    """Where it stands says what it could have been."""
    report = Report()
    said = unknown("enforse", Place.RULE_FIELD, words.RULE_FIELDS, report)
    assert said == "unknown field of a rule `enforse`; did you mean `enforce`?"
    assert unknown("learn", Place.ACTION_FIELD, words.ACTION_FIELDS, report).startswith(
        "unknown field of an action `learn`"
    )


def test_a_name_is_full_with_its_team():
    """The platform's entries have no prefix."""
    assert full_name("r", "billing") == "billing/r"
    assert full_name("r", "") == "r"
