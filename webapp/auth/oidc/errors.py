"""Why an identity provider's word was not taken; each has a sentence for whoever tried."""

from typing import ClassVar


class ProviderError(Exception):
    """Base; `code` is stable, `status` the answer's, `reason` for the operator's eyes only."""

    code: ClassVar[str] = "provider_error"
    status: ClassVar[int] = 401

    def __init__(self, message: str, reason: str = "") -> None:
        """Keep the sentence, and in `reason` what was wrong in words of this program."""
        super().__init__(message)
        self.reason = reason


class ProviderUnreachableError(ProviderError):
    """The provider did not answer, or not in time."""

    code = "provider_unreachable"
    status = 503

    def __init__(self, reason: str = "") -> None:
        """Ask to try again."""
        super().__init__(
            "The identity provider cannot be reached right now. Try again in a moment.", reason
        )


class ProviderMisplacedError(ProviderUnreachableError):
    """Something answers at the provider's address, and not as a provider would."""


class ProviderUnsafeError(ProviderError):
    """What the provider says of itself does not fit what the operator said of it."""

    code = "provider_unsafe"
    status = 502

    def __init__(self, reason: str) -> None:
        """Say that it is not the visitor's fault."""
        super().__init__(
            "The identity provider is not set up as Overread expects it. Nobody was signed in; "
            "tell whoever runs Overread.",
            reason,
        )


class ProviderDeclinedError(ProviderError):
    """The provider itself sent the person back without a sign-in."""

    code = "provider_declined"

    def __init__(self, reason: str = "") -> None:
        """Say who declined."""
        super().__init__("The identity provider did not sign you in. Start again.", reason)


class NotBegunHereError(ProviderError):
    """The answer does not belong to a sign-in that this browser began."""

    code = "sign_in_not_begun_here"

    def __init__(self, reason: str = "") -> None:
        """Ask to begin anew."""
        super().__init__(
            "This sign-in was not begun in this browser, or took longer than ten minutes. "
            "Start again.",
            reason,
        )


class UnprovenError(ProviderError):
    """The provider's answer could not be verified."""

    code = "sign_in_unproven"

    def __init__(self, reason: str = "") -> None:
        """Say that nobody was signed in."""
        super().__init__(
            "The identity provider's answer could not be verified. Nobody was signed in. Start "
            "again; if it goes on, tell whoever runs Overread.",
            reason,
        )
