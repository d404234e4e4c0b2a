"""The first tables, and triggers that refuse to change a row which records an opinion."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "own_read", "message", "draft", "review", "sentence_mark", "region", "attestation",
    "audit_event",
)


def upgrade() -> None:
    """Apply."""
    op.create_table('collection',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('protocol', sa.Enum('reader_first', 'ai_first', 'blind_pair', 'teaching', name='protocol', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_collection')),
    sa.UniqueConstraint('name', name=op.f('uq_collection_name'))
    )
    op.create_table('person',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('role', sa.Enum('trainee', 'reader', 'adjudicator', 'admin', name='role', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('password_hash', sa.String(), nullable=True),
    sa.Column('must_change_password', sa.Boolean(), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('name = lower(name)', name=op.f('ck_person_person_name_is_lower_case')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_person')),
    sa.UniqueConstraint('name', name=op.f('uq_person_name'))
    )
    op.create_table('api_token',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_sha256', sa.String(length=64), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.Enum('trainee', 'reader', 'adjudicator', 'admin', name='role', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_api_token_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_token')),
    sa.UniqueConstraint('token_sha256', name=op.f('uq_api_token_token_sha256'))
    )
    op.create_index(op.f('ix_api_token_person_id'), 'api_token', ['person_id'])

    op.create_table('audit_event',
    sa.Column('seq', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('role', sa.String(length=32), nullable=False),
    sa.Column('action', sa.String(length=64), nullable=False),
    sa.Column('object_type', sa.String(length=32), nullable=False),
    sa.Column('object_id', sa.String(length=64), nullable=False),
    sa.Column('outcome', sa.Enum('success', 'refused', 'failed', name='outcome', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('code', sa.String(length=64), nullable=False),
    sa.Column('request_id', sa.String(length=64), nullable=False),
    sa.Column('app_version', sa.String(length=32), nullable=False),
    sa.Column('previous_hash', sa.String(length=64), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['actor_id'], ['person.id'], name=op.f('fk_audit_event_actor_id_person')),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_audit_event')),
    sa.UniqueConstraint('hash', name=op.f('uq_audit_event_hash'))
    )
    op.create_index(op.f('ix_audit_event_at'), 'audit_event', ['at'])

    op.create_table('case',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Enum('checking', 'held', 'admitted', 'refused', name='casestate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('held_because', sa.JSON(), nullable=False),
    sa.Column('patient_key', sa.String(), nullable=False),
    sa.Column('study_key', sa.String(), nullable=False),
    sa.Column('content_key', sa.String(), nullable=False),
    sa.Column('modality', sa.String(length=16), nullable=False),
    sa.Column('body_part', sa.String(length=16), nullable=False),
    sa.Column('made_up', sa.Boolean(), nullable=False),
    sa.Column('uploaded_by', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collection.id'], name=op.f('fk_case_collection_id_collection')),
    sa.ForeignKeyConstraint(['uploaded_by'], ['person.id'], name=op.f('fk_case_uploaded_by_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_case')),
    sa.UniqueConstraint('collection_id', 'study_key', 'content_key', name=op.f('uq_case_collection_id_study_key_content_key'))
    )
    op.create_index('case_by_age', 'case', ['created_at', 'id'])
    op.create_index('case_worklist', 'case', ['collection_id', 'created_at', 'id'])
    op.create_index(op.f('ix_case_patient_key'), 'case', ['patient_key'])

    op.create_table('export',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('format', sa.Enum('full', 'llava', 'trl-sft', 'trl-dpo', 'trl-kto', name='exportformat', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('collection_id', sa.Uuid(), nullable=True),
    sa.Column('filters', sa.JSON(), nullable=False),
    sa.Column('counts', sa.JSON(), nullable=False),
    sa.Column('files', sa.JSON(), nullable=False),
    sa.Column('manifest_sha256', sa.String(length=64), nullable=False),
    sa.Column('created_by', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collection.id'], name=op.f('fk_export_collection_id_collection')),
    sa.ForeignKeyConstraint(['created_by'], ['person.id'], name=op.f('fk_export_created_by_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_export'))
    )
    op.create_table('membership',
    sa.Column('collection_id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['collection_id'], ['collection.id'], name=op.f('fk_membership_collection_id_collection')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_membership_person_id_person')),
    sa.PrimaryKeyConstraint('collection_id', 'person_id', name=op.f('pk_membership'))
    )
    op.create_index(op.f('ix_membership_person_id'), 'membership', ['person_id'])

    op.create_table('session',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_sha256', sa.String(length=64), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_session_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_session')),
    sa.UniqueConstraint('token_sha256', name=op.f('uq_session_token_sha256'))
    )
    op.create_index(op.f('ix_session_person_id'), 'session', ['person_id'])

    op.create_table('attestation',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('decision', sa.Enum('clean', 'mask', 'refuse', name='attestation', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('image_sha256', sa.JSON(), nullable=False),
    sa.Column('masks', sa.JSON(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=128), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_attestation_case_id_case')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_attestation_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attestation')),
    sa.UniqueConstraint('person_id', 'idempotency_key', name=op.f('uq_attestation_person_id_idempotency_key'))
    )
    op.create_index(op.f('ix_attestation_case_id'), 'attestation', ['case_id'])

    op.create_table('image',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('modality', sa.String(length=16), nullable=False),
    sa.Column('rows', sa.Integer(), nullable=False),
    sa.Column('columns', sa.Integer(), nullable=False),
    sa.Column('frames', sa.Integer(), nullable=False),
    sa.Column('dtype', sa.String(), nullable=False),
    sa.Column('samples', sa.Integer(), nullable=False),
    sa.Column('slope', sa.Float(), nullable=False),
    sa.Column('intercept', sa.Float(), nullable=False),
    sa.Column('units', sa.String(), nullable=False),
    sa.Column('inverted', sa.Boolean(), nullable=False),
    sa.Column('row_spacing_mm', sa.Float(), nullable=True),
    sa.Column('column_spacing_mm', sa.Float(), nullable=True),
    sa.Column('orientation', sa.JSON(), nullable=True),
    sa.Column('windows', sa.JSON(), nullable=False),
    sa.Column('view_position', sa.String(length=16), nullable=False),
    sa.Column('lossy', sa.Boolean(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.CheckConstraint('rows > 0 AND columns > 0 AND frames > 0', name=op.f('ck_image_image_has_pixels')),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_image_case_id_case')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_image')),
    sa.UniqueConstraint('case_id', 'number', name=op.f('uq_image_case_id_number'))
    )
    op.create_table('lease',
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_lease_case_id_case')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_lease_person_id_person')),
    sa.PrimaryKeyConstraint('case_id', name=op.f('pk_lease'))
    )
    op.create_index(op.f('ix_lease_person_id'), 'lease', ['person_id'])

    op.create_table('message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('template_id', sa.String(length=64), nullable=False),
    sa.Column('choices', sa.JSON(), nullable=True),
    sa.Column('model', sa.String(), nullable=True),
    sa.Column('images', sa.JSON(), nullable=False),
    sa.Column('flags', sa.JSON(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=128), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_message_case_id_case')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_message_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message')),
    sa.UniqueConstraint('person_id', 'idempotency_key', name=op.f('uq_message_person_id_idempotency_key'))
    )
    op.create_index('message_conversation', 'message', ['case_id', 'person_id', 'created_at'])

    op.create_table('own_read',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('text', sa.String(), nullable=False),
    sa.Column('findings', sa.JSON(), nullable=False),
    sa.Column('confidence', sa.Integer(), nullable=True),
    sa.Column('flags', sa.JSON(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=128), nullable=False),
    sa.Column('committed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('confidence IS NULL OR confidence BETWEEN 1 AND 5', name=op.f('ck_own_read_own_confidence')),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_own_read_case_id_case')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_own_read_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_own_read')),
    sa.UniqueConstraint('case_id', 'person_id', name=op.f('uq_own_read_case_id_person_id')),
    sa.UniqueConstraint('person_id', 'idempotency_key', name=op.f('uq_own_read_person_id_idempotency_key'))
    )
    op.create_index(op.f('ix_own_read_case_id'), 'own_read', ['case_id'])

    op.create_table('review_in_progress',
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('content', sa.JSON(), nullable=False),
    sa.Column('saved_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_review_in_progress_case_id_case')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_review_in_progress_person_id_person')),
    sa.PrimaryKeyConstraint('person_id', 'case_id', name=op.f('pk_review_in_progress'))
    )
    op.create_table('draft',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('message_id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('person_id', sa.Uuid(), nullable=False),
    sa.Column('model_id', sa.String(), nullable=False),
    sa.Column('family', sa.String(), nullable=True),
    sa.Column('weights_revision', sa.String(), nullable=True),
    sa.Column('weights_sha256', sa.String(), nullable=True),
    sa.Column('adapter', sa.String(), nullable=True),
    sa.Column('adapter_sha256', sa.String(), nullable=True),
    sa.Column('engine', sa.String(), nullable=True),
    sa.Column('engine_version', sa.String(), nullable=True),
    sa.Column('template_id', sa.String(), nullable=False),
    sa.Column('template_sha256', sa.String(), nullable=False),
    sa.Column('messages', sa.JSON(), nullable=False),
    sa.Column('rendered_prompt', sa.String(), nullable=True),
    sa.Column('decoding', sa.JSON(), nullable=False),
    sa.Column('seed', sa.Integer(), nullable=True),
    sa.Column('images', sa.JSON(), nullable=False),
    sa.Column('safety_policy', sa.String(), nullable=False),
    sa.Column('flags', sa.JSON(), nullable=False),
    sa.Column('raw_text', sa.String(), nullable=False),
    sa.Column('shown_text', sa.String(), nullable=False),
    sa.Column('sentences', sa.JSON(), nullable=False),
    sa.Column('choices', sa.JSON(), nullable=True),
    sa.Column('finish_reason', sa.Enum('stop', 'length', 'cancelled', 'error', name='finishreason', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('prompt_tokens', sa.Integer(), nullable=True),
    sa.Column('completion_tokens', sa.Integer(), nullable=True),
    sa.Column('first_token_ms', sa.Integer(), nullable=True),
    sa.Column('latency_ms', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_draft_case_id_case')),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_draft_message_id_message')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_draft_person_id_person')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_draft')),
    sa.UniqueConstraint('message_id', name=op.f('uq_draft_message_id'))
    )
    op.create_index('draft_of_case', 'draft', ['case_id', 'person_id', 'created_at'])
    op.create_index('draft_of_person', 'draft', ['person_id', 'case_id'])

    op.create_table('instance',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('image_id', sa.Uuid(), nullable=False),
    sa.Column('first_frame', sa.Integer(), nullable=False),
    sa.Column('frames', sa.Integer(), nullable=False),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('position', sa.JSON(), nullable=True),
    sa.Column('dicom_blob', sa.String(), nullable=False),
    sa.Column('pixel_blob', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_instance_image_id_image')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_instance')),
    sa.UniqueConstraint('image_id', 'first_frame', name=op.f('uq_instance_image_id_first_frame'))
    )
    op.create_table('review',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('draft_id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('reviewer_id', sa.Uuid(), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('supersedes', sa.Uuid(), nullable=True),
    sa.Column('verdict', sa.Enum('accept_as_is', 'minor_edit', 'major_edit', 'reject', 'abstain', name='verdict', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('verdict_inferred', sa.Boolean(), nullable=False),
    sa.Column('final_text', sa.String(), nullable=False),
    sa.Column('confidence', sa.Integer(), nullable=True),
    sa.Column('comment', sa.String(), nullable=False),
    sa.Column('timing', sa.JSON(), nullable=False),
    sa.Column('own_read_first', sa.Boolean(), nullable=False),
    sa.Column('flags', sa.JSON(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=128), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("verdict IN ('reject', 'abstain') OR length(final_text) > 0", name=op.f('ck_review_verdict_has_text')),
    sa.CheckConstraint('confidence IS NULL OR confidence BETWEEN 1 AND 5', name=op.f('ck_review_confidence')),
    sa.CheckConstraint('revision >= 1', name=op.f('ck_review_review_revision_from_one')),
    sa.ForeignKeyConstraint(['case_id'], ['case.id'], name=op.f('fk_review_case_id_case')),
    sa.ForeignKeyConstraint(['draft_id'], ['draft.id'], name=op.f('fk_review_draft_id_draft')),
    sa.ForeignKeyConstraint(['reviewer_id'], ['person.id'], name=op.f('fk_review_reviewer_id_person')),
    sa.ForeignKeyConstraint(['supersedes'], ['review.id'], name=op.f('fk_review_supersedes_review')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review')),
    sa.UniqueConstraint('draft_id', 'reviewer_id', 'revision', name=op.f('uq_review_draft_id_reviewer_id_revision')),
    sa.UniqueConstraint('reviewer_id', 'idempotency_key', name=op.f('uq_review_reviewer_id_idempotency_key'))
    )
    op.create_index(op.f('ix_review_case_id'), 'review', ['case_id'])
    op.create_index(op.f('ix_review_created_at'), 'review', ['created_at'])
    op.create_index('review_of_reader', 'review', ['reviewer_id', 'case_id'])

    op.create_table('region',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('review_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('type', sa.Enum('bbox', name='regiontype', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('space', sa.Enum('pixel', 'patient_mm', name='space', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('coords', sa.JSON(), nullable=False),
    sa.Column('image_id', sa.Uuid(), nullable=False),
    sa.Column('frame', sa.Integer(), nullable=False),
    sa.Column('sop_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('label', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['image_id'], ['image.id'], name=op.f('fk_region_image_id_image')),
    sa.ForeignKeyConstraint(['review_id'], ['review.id'], name=op.f('fk_region_review_id_review')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_region')),
    sa.UniqueConstraint('review_id', 'key', name=op.f('uq_region_review_id_key'))
    )
    op.create_index(op.f('ix_region_review_id'), 'region', ['review_id'])

    op.create_table('sentence_mark',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('review_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('sentence_index', sa.Integer(), nullable=True),
    sa.Column('ok', sa.Boolean(), nullable=False),
    sa.Column('error', sa.Enum('false_positive_finding', 'omission_finding', 'incorrect_location', 'incorrect_severity', 'false_positive_comparison', 'omission_comparison', name='errorclass', native_enum=False, create_constraint=True, length=32), nullable=True),
    sa.Column('subtype', sa.Enum('laterality', 'measurement', 'device_position', 'contradiction', 'negation_flip', 'language', 'other', name='errorsubtype', native_enum=False, create_constraint=True, length=32), nullable=True),
    sa.Column('clinically_significant', sa.Boolean(), nullable=False),
    sa.Column('replacement', sa.String(), nullable=True),
    sa.Column('region_ids', sa.JSON(), nullable=False),
    sa.CheckConstraint('ok = (error IS NULL)', name=op.f('ck_sentence_mark_wrong_sentence_has_a_class')),
    sa.CheckConstraint('sentence_index IS NOT NULL OR NOT ok', name=op.f('ck_sentence_mark_missing_is_an_error')),
    sa.ForeignKeyConstraint(['review_id'], ['review.id'], name=op.f('fk_sentence_mark_review_id_review')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sentence_mark'))
    )
    op.create_index(op.f('ix_sentence_mark_review_id'), 'sentence_mark', ['review_id'])

    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME "
            "USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
    for table in APPEND_ONLY:
        for statement in _sqlite_triggers(table) if sqlite else _postgres_triggers(table):
            op.execute(statement)


def _sqlite_triggers(table: str) -> Iterator[str]:
    for change in ("UPDATE", "DELETE"):
        yield (
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def _postgres_triggers(table: str) -> Iterator[str]:
    yield (
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
