"""Named facts that every step asks for, evaluated in one call."""

from collections.abc import Mapping
from typing import Final

from authz_server.policy.cel import CelSyntaxError, Expression
from authz_server.policy.program import FactGroup, FactReader, Program
from authz_server.policy.vocabulary import Vocabulary

WORTH_A_GROUP: Final = 2
"""Facts from which on one call for all is quicker than one for each."""


def group_facts(facts: Mapping[str, FactReader], expressions: Mapping[str, Expression], words: Vocabulary) -> None:
    """Have facts evaluated together: those that signals are kept by, which every step asks for.

    Args:
        facts: their readers by name; none of them reads signals.
        expressions: compiled, by name.
        words: what they were compiled over.
    """
    if len(facts) < WORTH_A_GROUP:
        return
    try:
        joint = words.environment.combine([expressions[name] for name in facts])
    except CelSyntaxError:  # too long for one expression
        return
    group = FactGroup(tuple(facts), Program(joint, words.readers, words.constants))
    for reader in facts.values():
        reader.group = group
