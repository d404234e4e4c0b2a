"""Collections: made once, opened by members."""

import pytest

from storage.errors import NotFoundError
from storage.tables import Collection, Membership
from storage.vocabulary import Protocol, Role
from tests.unit.services.world import World, done, refused
from webapp.services.collections import Collections
from webapp.services.errors import InvalidRequestError, NotAllowedError, NotSignedInError


@pytest.fixture
def collections(world: World) -> Collections:
    return Collections(world.store, world.clock)


def test_new_collection_is_reader_first_and_its_maker_a_member(
    world: World, collections: Collections
) -> None:
    reader = world.make_actor(Role.READER)
    made = collections.ensure(reader, "  Chest films ")
    assert (made.name, made.protocol) == ("Chest films", Protocol.READER_FIRST)
    assert collections.list(reader) == [made]
    assert collections.list(world.make_actor(Role.READER)) == []
    assert collections.list(world.make_actor(Role.ADMIN)) == [made]


def test_ensuring_again_returns_the_same(world: World, collections: Collections) -> None:
    reader = world.make_actor(Role.READER)
    made = collections.ensure(reader, "Chest", Protocol.AI_FIRST)
    assert collections.ensure(reader, "Chest") == made
    assert collections.ensure(reader, "Chest", Protocol.AI_FIRST) == made
    assert len(world.rows(Collection)) == 1
    assert world.events() == [done("collection.ensured")] * 3


def test_protocol_of_a_collection_is_not_changed_by_the_way(
    world: World, collections: Collections
) -> None:
    reader = world.make_actor(Role.READER)
    collections.ensure(reader, "Chest", Protocol.AI_FIRST)
    with pytest.raises(InvalidRequestError):
        collections.ensure(reader, "Chest", Protocol.TEACHING)
    assert world.rows(Collection)[0].protocol is Protocol.AI_FIRST


def test_foreign_collection_cannot_be_joined_by_its_name(
    world: World, collections: Collections
) -> None:
    world.make_collection(name="Theirs")
    reader = world.make_actor(Role.READER)
    with pytest.raises(NotFoundError):
        collections.ensure(reader, "Theirs")
    assert world.rows(Membership) == []
    assert world.events() == [refused("collection.ensured", "not_found")]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="blank"),
        pytest.param("x" * 101, id="long"),
        pytest.param("\ufdfa" * 20, id="long once it is normal"),
        pytest.param("a\x00b", id="NUL"),
        pytest.param("a\ud800b", id="lone surrogate"),
        pytest.param("a\x1b[31mb", id="escape"),
        pytest.param("a\x07b", id="bell"),
        pytest.param("a\nb", id="line feed"),
        pytest.param("a\tb", id="tab"),
        pytest.param("a\x9bb", id="C1 control"),
        pytest.param("a\u2028b", id="line separator"),
        pytest.param("a\u202eb", id="right to left override"),
        pytest.param("a\u2066b", id="isolate"),
        pytest.param("a\u200bb", id="zero width space"),
        pytest.param("a\ufeffb", id="byte order mark"),
        pytest.param("a\u00adb", id="soft hyphen"),
        pytest.param("a\u034fb", id="grapheme joiner"),
        pytest.param("a\u3164b", id="filler"),
        pytest.param("a\ue000b", id="private use"),
    ],
)
def test_unusable_name_is_refused(world: World, collections: Collections, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        collections.ensure(world.make_actor(Role.READER), name)
    assert world.rows(Collection) == []


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        pytest.param("Zu\u0308rich", "Z\u00fcrich", id="one letter"),
        pytest.param("CT\u00a0\u2460", "CT 1", id="compatible letters"),
        pytest.param("Chest   films", "Chest films", id="spaces"),
        pytest.param(
            "\u80ba Lunge \u043b\u0451\u0433\u043a\u0438\u0435 \u0631\u0626\u0629",
            None,
            id="letters of any alphabet",
        ),
    ],
)
def test_name_is_kept_in_its_normal_form(
    world: World, collections: Collections, given: str, stored: str | None
) -> None:
    assert collections.ensure(world.make_actor(Role.READER), given).name == (stored or given)


def test_names_that_read_alike_are_one_collection(world: World, collections: Collections) -> None:
    reader = world.make_actor(Role.READER)
    made = collections.ensure(reader, "Stra\u00dfe Zu\u0308rich")
    for name in ("STRASSE Z\u00dcRICH", "strasse  z\u00fcrich"):
        assert collections.ensure(reader, name) == made
        with pytest.raises(NotFoundError):
            collections.ensure(world.make_actor(Role.READER), name)
    assert len(world.rows(Collection)) == 1


def test_older_names_stay_as_they_are(world: World, collections: Collections) -> None:
    reader = world.make_actor(Role.READER)
    for name in ("Chest", "chest", "a\x1bb"):
        world.make_collection(reader, name=name)
    assert [collections.ensure(reader, name).name for name in ("Chest", "chest", "a\x1bb")] == [
        "Chest", "chest", "a\x1bb",
    ]  # fmt: skip
    assert collections.ensure(reader, "CHEST").name == "Chest"
    assert len(world.rows(Collection)) == 3


def test_trainees_and_strangers_make_none(world: World, collections: Collections) -> None:
    with pytest.raises(NotAllowedError):
        collections.ensure(world.make_actor(Role.TRAINEE), "Chest")
    with pytest.raises(NotSignedInError):
        collections.ensure(None, "Chest")
    with pytest.raises(NotSignedInError):
        collections.list(None)
    assert world.rows(Collection) == []


def test_admin_adds_a_member_once(world: World, collections: Collections) -> None:
    admin, reader = world.make_actor(Role.ADMIN), world.make_actor(Role.READER, "ada")
    collection = world.make_collection(name="Chest")
    collections.add_member(admin, "Chest", "Ada")
    collections.add_member(admin, str(collection.id), "ada")
    assert [found.name for found in collections.list(reader)] == ["Chest"]
    assert len(world.rows(Membership)) == 1


def test_only_admins_add_members(world: World, collections: Collections) -> None:
    reader = world.make_actor(Role.READER, "ada")
    world.make_collection(name="Chest")
    with pytest.raises(NotAllowedError):
        collections.add_member(reader, "Chest", "ada")
    with pytest.raises(NotSignedInError):
        collections.add_member(None, "Chest", "ada")
    assert world.rows(Membership) == []


def test_unknown_collection_or_person_is_refused(world: World, collections: Collections) -> None:
    admin = world.make_actor(Role.ADMIN)
    world.make_collection(name="Chest")
    with pytest.raises(NotFoundError):
        collections.add_member(admin, "Head", admin.name)
    with pytest.raises(NotFoundError):
        collections.add_member(admin, "Chest", "nobody")


def test_admin_takes_a_membership_away_and_gives_it_back(
    world: World, collections: Collections
) -> None:
    admin, reader = world.make_actor(Role.ADMIN), world.make_actor(Role.READER, "ada")
    world.make_collection(reader, name="Chest")
    assert [person.name for person in collections.members(admin, "Chest")] == ["ada"]
    collections.remove_member(admin, "Chest", "Ada")
    collections.remove_member(admin, "Chest", "ada")
    assert collections.list(reader) == []
    assert collections.members(admin, "Chest") == ()
    collections.add_member(admin, "Chest", "ada")
    assert [found.name for found in collections.list(reader)] == ["Chest"]
    with pytest.raises(NotFoundError):
        collections.remove_member(admin, "Head", "ada")
    with pytest.raises(NotFoundError):
        collections.remove_member(admin, "Chest", "nobody")


def test_only_admins_see_and_remove_members(world: World, collections: Collections) -> None:
    reader = world.make_actor(Role.READER, "ada")
    world.make_collection(reader, name="Chest")
    with pytest.raises(NotAllowedError):
        collections.remove_member(reader, "Chest", "ada")
    with pytest.raises(NotAllowedError):
        collections.members(reader, "Chest")
    with pytest.raises(NotSignedInError):
        collections.remove_member(None, "Chest", "ada")
    with pytest.raises(NotSignedInError):
        collections.members(None, "Chest")
    assert len(world.rows(Membership)) == 1
