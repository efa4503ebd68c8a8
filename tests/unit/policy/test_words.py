"""authz_server/policy/words.py."""

from authz_server.policy import words
from authz_server.policy.report import Report
from authz_server.policy.words import NOT_YET, Place, unknown
from authz_server.verdict import Effect

_SUPPORTED = {
    Place.SECTION: words.SECTIONS,
    Place.REQUEST_KEY: words.REQUEST_KEYS,
    Place.STEP_KEY: words.STEP_KEYS,
    Place.CASE_FIELD: words.CASE_FIELDS,
    Place.SIGNAL_FIELD: words.SIGNAL_FIELDS,
    Place.ENTITY: words.ENTITY_WORDS,
    Place.RULE_FIELD: words.RULE_FIELDS,
    Place.EFFECT: words.EFFECTS,
    Place.SCOPE: words.SCOPES,
}


def test_no_word_is_both_supported_and_refused():
    """Lifting a word means moving it, not adding it."""
    assert not [
        (place, word) for place, known in _SUPPORTED.items() for word in known if word in NOT_YET.get(place, ())
    ]


def test_every_effect_is_supported_or_refused_by_name():
    """A new effect must be decided on."""
    assert set(words.EFFECTS) | NOT_YET[Place.EFFECT] == {effect.value for effect in Effect}


def test_words_of_later_versions_have_a_message_of_their_own():
    """They are no spelling mistakes."""
    report = Report()
    assert (
        unknown("approval", Place.RULE_FIELD, words.RULE_FIELDS, report)
        == "`approval` is not supported by this version"
    )
    assert unknown("aproval", Place.RULE_FIELD, words.RULE_FIELDS, report).startswith(
        "unknown field of a rule `aproval`"
    )


def test_a_word_is_refused_only_where_it_belongs():
    """The same word elsewhere is unknown."""
    assert unknown("approval", Place.SIGNAL_FIELD, words.SIGNAL_FIELDS, Report()).startswith(
        "unknown field of a signal"
    )
