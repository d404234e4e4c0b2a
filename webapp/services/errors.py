"""What a use case refuses, as exception classes with a stable `code`.

`str(error)` is shown to clinicians: no name, no question or report text, no id.
"""


class ServiceError(Exception):
    """Base of every refusal raised by a use case; `code` is stable across releases."""

    code = "service_error"


class NotSignedInError(ServiceError):
    """Nobody is signed in, or the session or token is no longer good."""

    code = "not_signed_in"

    def __init__(self) -> None:
        """Ask to sign in."""
        super().__init__("Sign in first.")


class SignInFailedError(ServiceError):
    """The name or the password is wrong, or the account is closed: never said which."""

    code = "sign_in_failed"

    def __init__(self) -> None:
        """Say no more than that it did not work."""
        super().__init__("The name or the password is not right.")


class PasswordSignInOffError(ServiceError):
    """This installation takes nobody's password; an identity provider vouches for people."""

    code = "password_sign_in_off"

    def __init__(self) -> None:
        """Say what to do instead."""
        super().__init__("Passwords are not taken here. Sign in with your institution's account.")


class NoRoleError(ServiceError):
    """An identity provider vouches for somebody who has no role here."""

    code = "no_role"

    def __init__(self) -> None:
        """Say whom to ask."""
        super().__init__(
            "Your institution knows you, but you have no role in Overread. Ask whoever runs "
            "Overread."
        )


class AccountClosedError(ServiceError):
    """An administrator closed the account of whom an identity provider vouches for."""

    code = "account_closed"

    def __init__(self) -> None:
        """Say whom to ask."""
        super().__init__("Your account here is closed. Ask whoever runs Overread.")


class SignInReplayedError(ServiceError):
    """An answer of an identity provider that began a session already."""

    code = "sign_in_replayed"

    def __init__(self) -> None:
        """Ask to begin anew."""
        super().__init__("This sign-in was used already. Start again.")


class TooManyAttemptsError(ServiceError):
    """Sign-in for this name is paused after repeated failures."""

    code = "too_many_attempts"

    def __init__(self, *, wait_seconds: int) -> None:
        """Say how long to wait."""
        super().__init__(f"Too many attempts. Try again in {wait_seconds} seconds.")
        self.wait_seconds = wait_seconds


class TooManyRequestsError(ServiceError):
    """One person, or one network, does this more often than the table of rates allows."""

    code = "too_many_requests"

    def __init__(self, what: str, *, wait_seconds: int) -> None:
        """Say of what there were too many, and how long to wait."""
        super().__init__(f"Too many {what} in a short time. Try again in {wait_seconds} seconds.")
        self.wait_seconds = wait_seconds


class PasswordChangeRequiredError(ServiceError):
    """The first password must be replaced before anything else."""

    code = "password_change_required"

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("Choose a password of your own before you go on.")


class NotAllowedError(ServiceError):
    """The role of the account does not cover this."""

    code = "not_allowed"

    def __init__(self, doing: str) -> None:
        """Name the action in words, such as "review this draft"."""
        super().__init__(f"Your account may not {doing}.")


class InvalidRequestError(ServiceError):
    """Something in the request cannot be what was meant; the message says what."""

    code = "invalid_request"


class EmptyQuestionError(InvalidRequestError):
    """A question without words."""

    code = "empty_question"

    def __init__(self) -> None:
        """Ask for words."""
        super().__init__("Write a question first.")


class QuestionTooLongError(InvalidRequestError):
    """A question beyond the limit."""

    code = "question_too_long"

    def __init__(self, *, limit: int) -> None:
        """Say the limit."""
        super().__init__(f"The question is longer than {limit:,} characters. Please shorten it.")


class QuestionInProgressError(ServiceError):
    """The same question, by its key, is being answered right now."""

    code = "question_in_progress"

    def __init__(self) -> None:
        """Say where the answer will appear."""
        super().__init__(
            "This question is already being answered, perhaps in another window. Its draft will "
            "appear in the conversation."
        )


class OwnReadRequiredError(ServiceError):
    """The collection's protocol wants the reader's own findings before any draft."""

    code = "own_read_required"

    def __init__(self) -> None:
        """Say what comes first."""
        super().__init__("Commit your own read of this case first; then the model may answer.")


class HeldError(ServiceError):
    """The case waits for a person to look for identity in its pixels."""

    code = "case_held"

    def __init__(self) -> None:
        """Say what must happen before."""
        super().__init__(
            "This case is held until a person has checked that its pixels show no identity."
        )


class TextLeftError(ServiceError):
    """Boxes were blanked, and the search found text beside them."""

    code = "text_left"

    def __init__(self, frames: int) -> None:
        """Say on how many frames."""
        where = "one image" if frames == 1 else f"{frames} images"
        super().__init__(
            f"Your boxes are blanked, but text is still found on {where}. Mask what is left, or "
            "attest that it names nobody."
        )


class NotHeldError(ServiceError):
    """An attestation of a case that waits for none."""

    code = "case_not_held"

    def __init__(self) -> None:
        """Say that it is settled."""
        super().__init__("This case is not waiting for a decision about its pixels.")


class SecondPersonRequiredError(ServiceError):
    """Whoever uploaded a study may not attest its pixels here."""

    code = "second_person_required"

    def __init__(self) -> None:
        """Ask for a colleague."""
        super().__init__("You uploaded this study; a second person must check its pixels.")


class CaseRefusedError(ServiceError):
    """The case was refused at the door; its pixels are not shown any more."""

    code = "case_refused"

    def __init__(self) -> None:
        """Say that it is final."""
        super().__init__("This case was refused; its images are not shown.")


class NameTakenError(ServiceError):
    """An account of that name exists."""

    code = "name_taken"

    def __init__(self) -> None:
        """Ask for another one."""
        super().__init__("There is already an account with this name.")


class LastAdminError(ServiceError):
    """Closing this account would leave nobody to administer."""

    code = "last_admin"

    def __init__(self) -> None:
        """Say what to do before."""
        super().__init__("This is the last administrator; make another one first.")
