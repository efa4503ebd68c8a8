"""authz_server/policy/challenge_entries.py."""

import pytest

from authz_server.policy.challenge_entries import read_approval, read_step_up
from authz_server.policy.entries import Approval, StepUp
from authz_server.policy.fields import Fields
from authz_server.policy.words import Place
from tests.policy_nodes import faults_of, read_entry


def _read(reader, text, effect="challenge"):
    node, scope = read_entry(text)
    fields = Fields(node, Place.RULE_FIELD, ("approval", "step_up"), scope)
    return reader(fields, effect, scope), faults_of(scope)


def test_an_approval_is_read():
    """Whose, for what, how often and how long."""
    text = "{approval: {by: [group:soc, group:data-owners, group:soc], binds: action, uses: 20, expires: 30m}}"
    assert _read(read_approval, text) == (Approval(("group:soc", "group:data-owners"), "action", 20, 1800), [])


def test_an_approval_is_narrow_unless_it_is_told_otherwise():
    """This very request, once, within ten minutes."""
    assert _read(read_approval, "{approval: {by: group:soc}}") == (Approval(("group:soc",), "arguments", 1, 600), [])


def test_a_challenge_can_have_neither():
    """It is then lifted by an exception only."""
    assert _read(read_approval, "{}") == (None, [])
    assert _read(read_step_up, "{}") == (None, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{acr: mfa, max_age: 5m}", StepUp("mfa", 300)),
        ("{acr: 'urn:mace:incommon:iap:silver'}", StepUp("urn:mace:incommon:iap:silver", 0)),
        ("{acr: 'https://refeds.org/profile/mfa#v1'}", StepUp("https://refeds.org/profile/mfa#v1", 0)),
        ("{max_age: 1s}", StepUp("", 1)),
    ],
)
def test_a_step_up_asks_for_a_class_or_an_age(text, expected):
    """Either is enough."""
    assert _read(read_step_up, f"{{step_up: {text}}}") == (expected, [])


@pytest.mark.parametrize(
    ("approval", "message"),
    [
        ("{}", ".approval: `by` is missing"),
        ("{by: []}", ".approval.by: an empty list"),
        ("{by: soc}", ".approval.by: `soc` is no group of approvers: `group:` and its name, such as `group:soc`"),
        ("{by: [group:soc, 'group:']}", ".approval.by[1]: `group:` is no group of approvers"),
        ("{by: ['group:*']}", ".approval.by[0]: `group:*` is no group of approvers"),
        ("{by: ['spiffe://a/b']}", ".approval.by[0]: `spiffe://a/b` is no group of approvers"),
        (f"{{by: [{', '.join(f'group:g{i}' for i in range(17))}]}}", ".approval.by: at most 16 groups"),
        ("{by: group:soc, binds: argument}", ".approval.binds: unknown thing to bind an approval to `argument`; did you mean `arguments`?"),
        ("{by: group:soc, uses: 0}", ".approval.uses: a whole number from 1 to 100 is expected, not 0"),
        ("{by: group:soc, uses: 101}", ".approval.uses: a whole number from 1 to 100 is expected, not 101"),
        ("{by: group:soc, expires: 9s}", ".approval.expires: a duration between 10s and 1d is expected"),
        ("{by: group:soc, expires: 25h}", ".approval.expires: a duration between 10s and 1d is expected"),
        ("{by: group:soc, use: 1}", ".approval.use: unknown field of an approval `use`; did you mean `uses`?"),
        ("soc", ".approval: a mapping is expected, not text"),
    ],
)  # fmt: skip
def test_every_mistake_of_an_approval_is_named_once_at_its_place(approval, message):
    """What was found, what is expected, and the nearest name."""
    faults = _read(read_approval, f"{{approval: {approval}}}")[1]
    assert len(faults) == 1
    assert faults[0].startswith(message)


def test_a_faulty_approval_stays_with_the_strictest_values():
    """Nobody can give it, and once."""
    approval, _ = _read(read_approval, "{approval: {by: soc, binds: x, uses: 500, expires: 9d}}")
    assert approval == Approval((), "arguments", 1, 600)


@pytest.mark.parametrize(
    ("step_up", "message"),
    [
        ("{}", ".step_up: a step-up asks for something: `acr`, `max_age` or both"),
        ("{acr: 'mfa\", scope=\"all'}", '.step_up.acr: `mfa", scope="all` is no authentication class'),
        ("{acr: 'mfa phr'}", ".step_up.acr: `mfa phr` is no authentication class"),
        ("{acr: 'mfa\\'}", ".step_up.acr: `mfa\\` is no authentication class"),
        ("{acr: mfä}", ".step_up.acr: `mfä` is no authentication class"),
        (f"{{acr: {'m' * 129}}}", ".step_up.acr: `mmm"),
        ("{acr: 2}", ".step_up.acr: text is expected, not a number: quote it if it is text"),
        ("{max_age: 0s}", ".step_up.max_age: a duration between 1s and 31d is expected"),
        ("{max_age: 300}", ".step_up.max_age: a duration is a whole number and its unit"),
        ("{acrs: mfa, acr: mfa}", ".step_up.acrs: unknown field of a step-up `acrs`; did you mean `acr`?"),
        ("mfa", ".step_up: a mapping is expected, not text"),
    ],
)
def test_every_mistake_of_a_step_up_is_named_once_at_its_place(step_up, message):
    """Nothing gets into a header that could end its quoted string."""
    faults = _read(read_step_up, f"{{step_up: {step_up}}}")[1]
    assert len(faults) == 1
    assert faults[0].startswith(message)


@pytest.mark.parametrize("effect", ["allow", "observe", "throttle", "deny", "quarantine"])
def test_only_a_challenge_is_met(effect):
    """Nothing lifts a deny."""
    for reader, text in ((read_approval, "{approval: {by: group:soc}}"), (read_step_up, "{step_up: {acr: mfa}}")):
        entry, faults = _read(reader, text, effect)
        assert entry is None
        assert len(faults) == 1
        assert faults[0].endswith(f": only a rule with `then: challenge` has this; here `then` is `{effect}`")


def test_an_effect_that_could_not_be_read_causes_no_second_fault():
    """It may have been meant as a challenge."""
    assert _read(read_approval, "{approval: {by: group:soc}}", effect="") == (None, [])
