"""The tables. Importing this package registers every one of them with SQLModel's metadata.

Rows are made with `model_validate`: `table=True` classes check nothing in their constructor.
Rows that record an opinion (own read, draft, review and what hangs on it, attestation, audit
event) are never updated or deleted.
"""

from storage.tables.audit import AuditEvent
from storage.tables.cases import Attestation, Case, Image, Instance, Lease
from storage.tables.collections import Collection, Membership
from storage.tables.exports import Export
from storage.tables.people import ApiToken, Identity, LoginSession, Person
from storage.tables.pixels import PixelCheck, PixelText
from storage.tables.reading import Draft, Message, OwnRead
from storage.tables.reviews import Region, Review, ReviewInProgress, SentenceMark

__all__ = [
    "ApiToken",
    "Attestation",
    "AuditEvent",
    "Case",
    "Collection",
    "Draft",
    "Export",
    "Identity",
    "Image",
    "Instance",
    "Lease",
    "LoginSession",
    "Membership",
    "Message",
    "OwnRead",
    "Person",
    "PixelCheck",
    "PixelText",
    "Region",
    "Review",
    "ReviewInProgress",
    "SentenceMark",
]
