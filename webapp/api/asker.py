"""Who asks, as the gate found out."""

from typing import Annotated

from fastapi import Depends, Request

from webapp.auth.gate import ACTOR
from webapp.services.actor import Actor
from webapp.services.errors import NotSignedInError


def actor_of(request: Request) -> Actor:
    """Return who sent this request.

    Raises:
        NotSignedInError: the gate let it in without anybody.
    """
    actor = request.scope.get(ACTOR)
    if not isinstance(actor, Actor):
        raise NotSignedInError
    return actor


Asker = Annotated[Actor, Depends(actor_of)]
