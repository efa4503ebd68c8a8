"""What an operator is told when an act is not done."""

from authz_server.errors import AuthzError


class Refusal(AuthzError):  # noqa: N818 - an answer, not a fault
    """An act that is not done, or not as asked.

    Attributes:
        code: `permission_denied`; `entity_invalid`, `duration_invalid`, `duration_too_long`, `reason_missing`,
            `reason_invalid`, `reason_too_long`; `protected`; `too_many`; `not_contained`; `second_person_needed`;
            `conflict`; `store_unavailable` (nothing was changed, as far as is known) or `stored_later` (enforced here,
            and the store is told as soon as it answers).
        text: for an operator; no secrets.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
