"""Who is asking, as established by the sign-in or the token, never by a form field."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from storage.vocabulary import Role


@dataclass(frozen=True, slots=True)
class Actor:
    """One signed-in person during one request.

    `role` is the role in force now: of a token it is the lower of the token's and the
    person's, read again at every request. `request_id` only serves to join log and audit.
    """

    id: UUID
    name: str
    role: Role
    via: Literal["session", "token", "cli"]
    request_id: str = ""
    must_change_password: bool = False
    session_id: UUID | None = None
    came_from: str = ""  # the network of the request, coarser than an address
