"""Turn stored rows into the views that leave a use case."""

from collections.abc import Sequence

from storage.tables import (
    ApiToken,
    Collection,
    Draft,
    Image,
    Instance,
    Message,
    OwnRead,
    Person,
    Region,
    Review,
    SentenceMark,
)
from storage.vocabulary import Role
from webapp.services.policy import at_most
from webapp.services.views import (
    CollectionView,
    DraftView,
    GeometryView,
    MarkView,
    MessageView,
    OwnReadView,
    PersonView,
    RegionView,
    ReviewView,
    SentenceView,
    TokenView,
)

Position = tuple[float, float, float]


def person_view(person: Person) -> PersonView:
    """Show an account without its secrets."""
    return PersonView(
        id=person.id,
        name=person.name,
        role=person.role,
        disabled=person.disabled_at is not None,
        must_change_password=person.must_change_password,
        created_at=person.created_at,
        has_password=person.password_hash is not None,
    )


def token_view(token: ApiToken, person: Person) -> TokenView:
    """Show a token with the role that is in force."""
    return TokenView(
        id=token.id,
        person_id=person.id,
        person=person.name,
        role=at_most(token.role, person.role),
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )


def collection_view(collection: Collection) -> CollectionView:
    """Show a collection."""
    return CollectionView(
        id=collection.id,
        name=collection.name,
        protocol=collection.protocol,
        created_at=collection.created_at,
    )


def geometry_view(image: Image, instances: Sequence[Instance]) -> GeometryView:
    """Show an image's layout; a position is known for the first frame of each object."""
    positions: list[Position | None] = [None] * image.frames
    for instance in instances:
        if instance.position is not None and instance.first_frame < image.frames:
            x, y, z = instance.position
            positions[instance.first_frame] = (x, y, z)
    known = any(position is not None for position in positions)
    return GeometryView(
        id=image.id,
        case_id=image.case_id,
        modality=image.modality,
        rows=image.rows,
        columns=image.columns,
        frames=image.frames,
        dtype=image.dtype,
        samples=image.samples,
        slope=image.slope,
        intercept=image.intercept,
        units=image.units,
        inverted=image.inverted,
        row_spacing_mm=image.row_spacing_mm,
        column_spacing_mm=image.column_spacing_mm,
        orientation=None if image.orientation is None else tuple(image.orientation),
        positions=tuple(positions) if known else None,
        windows=tuple(image.windows),
        view_position=image.view_position,
        lossy=image.lossy,
        sha256=image.sha256,
    )


def own_read_view(own_read: OwnRead) -> OwnReadView:
    """Show committed findings."""
    return OwnReadView(
        id=own_read.id,
        case_id=own_read.case_id,
        text=own_read.text,
        findings=tuple(own_read.findings),
        confidence=own_read.confidence,
        committed_at=own_read.committed_at,
    )


def sentences_of(draft: Draft) -> tuple[SentenceView, ...]:
    """Cut the shown text at the stored spans."""
    return tuple(
        SentenceView(index, draft.shown_text[start:end], start, end)
        for index, (start, end) in enumerate(draft.sentences)
    )


def draft_view(draft: Draft, role: Role) -> DraftView:
    """Show a draft with everything that made it; what was withheld, to administrators only."""
    nothing_withheld = draft.raw_text == draft.shown_text
    return DraftView(
        id=draft.id,
        message_id=draft.message_id,
        case_id=draft.case_id,
        person_id=draft.person_id,
        model_id=draft.model_id,
        family=draft.family,
        weights_revision=draft.weights_revision,
        weights_sha256=draft.weights_sha256,
        adapter=draft.adapter,
        adapter_sha256=draft.adapter_sha256,
        engine=draft.engine,
        engine_version=draft.engine_version,
        template_id=draft.template_id,
        template_sha256=draft.template_sha256,
        messages=tuple(draft.messages),
        rendered_prompt=draft.rendered_prompt,
        decoding=draft.decoding,
        seed=draft.seed,
        images=tuple(draft.images),
        safety_policy=draft.safety_policy,
        flags=tuple(draft.flags),
        raw_text=draft.raw_text if nothing_withheld or role is Role.ADMIN else None,
        shown_text=draft.shown_text,
        sentences=sentences_of(draft),
        choices=draft.choices,
        consistency=draft.consistency,
        finish_reason=draft.finish_reason,
        prompt_tokens=draft.prompt_tokens,
        completion_tokens=draft.completion_tokens,
        first_token_ms=draft.first_token_ms,
        latency_ms=draft.latency_ms,
        created_at=draft.created_at,
    )


def message_view(message: Message, draft: Draft | None, role: Role) -> MessageView:
    """Show a question with its answer."""
    return MessageView(
        id=message.id,
        text=message.text,
        template_id=message.template_id,
        choices=None if message.choices is None else tuple(message.choices),
        battery=message.battery,
        created_at=message.created_at,
        draft=None if draft is None else draft_view(draft, role),
    )


def review_view(
    review: Review, marks: Sequence[SentenceMark], regions: Sequence[Region]
) -> ReviewView:
    """Show a revision with its marks and regions."""
    views = [_mark(mark) for mark in marks]
    return ReviewView(
        id=review.id,
        draft_id=review.draft_id,
        case_id=review.case_id,
        reviewer_id=review.reviewer_id,
        revision=review.revision,
        supersedes=review.supersedes,
        verdict=review.verdict,
        verdict_inferred=review.verdict_inferred,
        final_text=review.final_text,
        confidence=review.confidence,
        comment=review.comment,
        timing=review.timing,
        own_read_first=review.own_read_first,
        created_at=review.created_at,
        sentences=tuple(mark for mark in views if mark.index is not None),
        missing=tuple(mark for mark in views if mark.index is None),
        regions=tuple(_region(region) for region in regions),
    )


def _mark(mark: SentenceMark) -> MarkView:
    return MarkView(
        index=mark.sentence_index,
        ok=mark.ok,
        error=mark.error,
        subtype=mark.subtype,
        clinically_significant=mark.clinically_significant,
        replacement=mark.replacement,
        region_ids=tuple(mark.region_ids),
    )


def _region(region: Region) -> RegionView:
    return RegionView(
        id=region.key,
        type=region.type,
        space=region.space,
        coords=tuple(region.coords),
        image_id=region.image_id,
        frame=region.frame,
        sop_instance_uid=region.sop_instance_uid,
        label=region.label,
    )
