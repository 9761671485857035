"""One suite for the store in LMDB and its fake; then what only files can do."""

import lmdb
import pytest

from skerry_edge.features.note import EntityRecord, Letter, VersionNote
from skerry_edge.features.ports import Change, StoreDamagedError, StoreFullError
from skerry_edge.features.store import LmdbStore, put_aside
from tests.unit.features.fakes import FakeStore

ONE, TWO = (f"sha256:{number * 64}" for number in "12")
LONG = b"k" * 2000


def entity(text, received=5):
    return EntityRecord(text, received, -7, 2**63 + 1)


def note(**position):
    return VersionNote(b"{}", position, letters=[Letter("a", b"b")])


@pytest.fixture(params=["lmdb", "fake"])
def store(request, tmp_path):
    store = LmdbStore(tmp_path / "features") if request.param == "lmdb" else FakeStore()
    yield store
    store.close()


def test_entities_and_position_come_together(store):
    store.commit([Change(ONE, note(e=7), {b"a": entity(b"A"), LONG: entity(b"L")}), Change(TWO, note(), {})])
    store.commit([Change(ONE, note(e=9), {b"a": entity(b"AA"), b"b": entity(b"B")})])
    assert store.notes() == {ONE: note(e=9), TWO: note()}
    assert store.get(ONE, b"a") == entity(b"AA")
    assert store.get(ONE, LONG) == entity(b"L")
    assert store.get(ONE, b"c") is None
    assert store.get(TWO, b"a") is None
    assert sorted(record.state for _, record in store.entities(ONE)) == [b"AA", b"B", b"L"]
    assert list(store.entities(TWO)) == []


def test_what_is_gone(store):
    store.commit([Change(ONE, note(), {b"a": entity(b"A"), b"b": entity(b"B")}), Change(TWO, note(), {})])
    store.commit([Change(ONE, note(), {b"a": None})])
    assert store.get(ONE, b"a") is None
    store.drop(ONE)
    assert store.notes() == {TWO: note()}
    assert store.get(ONE, b"b") is None
    assert list(store.entities(ONE)) == []
    store.commit([Change(ONE, note(e=1), {b"c": entity(b"C")})])
    assert [key for key, _ in store.entities(ONE)] == [b"c"]


def test_opened_again(tmp_path):
    store = LmdbStore(tmp_path)
    store.commit([Change(ONE, note(e=7), {b"a": entity(b"A")})])
    store.close()
    with pytest.raises(StoreDamagedError):
        store.notes()
    store = LmdbStore(tmp_path)
    assert store.notes() == {ONE: note(e=7)}
    assert store.get(ONE, b"a") == entity(b"A")
    store.close()


def test_the_map_grows_to_its_bound(tmp_path):
    store = LmdbStore(tmp_path, first_map=1 << 20, max_map=8 << 20)
    big = {b"%d" % number: entity(b"x" * 10_000) for number in range(300)}
    store.commit([Change(ONE, note(e=1), big)])
    with pytest.raises(StoreFullError):
        store.commit([Change(ONE, note(e=2), {b"more%d" % number: entity(b"x" * 10_000) for number in range(900)})])
    assert store.notes() == {ONE: note(e=1)}
    assert store.get(ONE, b"299") == entity(b"x" * 10_000)
    store.close()


@pytest.mark.parametrize("damage", ["foreign", "cut", "flipped"])
def test_a_damaged_file_is_put_aside(tmp_path, damage):
    store = LmdbStore(tmp_path)
    store.commit([Change(ONE, note(e=1), {b"%d" % number: entity(b"x" * 100) for number in range(3000)})])
    store.close()
    path = tmp_path / "lmdb" / "data.mdb"
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data = data.replace(b"x" * 100, b"x" * 99 + b"y")
    path.write_bytes(b"no LMDB " * 9000 if damage == "foreign" else data if damage == "flipped" else data[:40_000])
    with pytest.raises(StoreDamagedError):
        _ = list((store := LmdbStore(tmp_path)).entities(ONE))
    store.close()
    put_aside(tmp_path)
    store = LmdbStore(tmp_path)
    assert store.notes() == {}
    store.checked()
    store.close()
    assert (tmp_path / "lmdb.damaged" / "data.mdb").exists()
    put_aside(tmp_path)


@pytest.mark.parametrize("look", [lambda store: list(store.entities(ONE)), lambda store: store.get(ONE, b"press-3")])
def test_no_flipped_bit_gives_an_entity_to_another(tmp_path, look):
    store = LmdbStore(tmp_path)
    store.commit([Change(ONE, note(e=1), {b"press-1": entity(b"A")})])
    store.close()
    path = tmp_path / "lmdb" / "data.mdb"
    path.write_bytes(path.read_bytes().replace(b"press-1", b"press-3"))
    store = LmdbStore(tmp_path)
    with pytest.raises(StoreDamagedError, match="checksum"):
        look(store)
    store.close()


@pytest.mark.parametrize("sound", [True, False])
def test_who_died_while_opening_leaves_a_note(tmp_path, sound):
    store = LmdbStore(tmp_path)
    store.commit([Change(ONE, note(e=1), {b"%d" % number: entity(b"x" * 100) for number in range(3000)})])
    store.close()
    path = tmp_path / "lmdb" / "data.mdb"
    data = bytearray(path.read_bytes())
    if not sound:
        data[4096 * 9 : 4096 * 10] = bytes(4096)
    path.write_bytes(data)
    assert (tmp_path / "opening").exists()
    if sound:
        store = LmdbStore(tmp_path)
        assert store.notes() == {ONE: note(e=1)}
        store.close()
    else:
        with pytest.raises(StoreDamagedError):
            LmdbStore(tmp_path)


@pytest.mark.parametrize("left", [b"", bytes(8192)])
def test_who_died_while_making_the_file_leaves_nothing_to_check(tmp_path, left):
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_bytes(left)
    (tmp_path / "opening").touch()
    store = LmdbStore(tmp_path)
    assert store.notes() == {}
    store.close()


def test_whoever_runs_the_process_may_enter_the_folder(tmp_path):
    LmdbStore(tmp_path / "features").close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "features").rglob("*")}
    assert modes["lmdb"] == 0o700
    assert modes["data.mdb"] == 0o600


def test_what_is_forbidden_is_no_damage(tmp_path, monkeypatch):
    def forbidden(*_args, **_options):
        raise lmdb.Error(f"{tmp_path}: Permission denied")

    monkeypatch.setattr(lmdb, "open", forbidden)
    with pytest.raises(PermissionError):
        LmdbStore(tmp_path)


def joined(own, other):
    return entity(own.state + other.state)


def test_another_nodes_entities_are_added_whole_or_not_at_all(store):
    store.commit([Change(ONE, note(e=7), {b"a": entity(b"A"), b"b": entity(b"B")})])

    def cut():
        yield b"b", entity(b"2")
        raise ValueError("it is cut short")

    with pytest.raises(ValueError, match="cut short"):
        store.load(ONE, note(e=8), cut, joined)
    assert store.get(ONE, b"b") == entity(b"B")
    others = {b"b": entity(b"2"), LONG: entity(b"3")}
    store.load(ONE, note(e=7, f=1), others.items, joined)
    assert store.notes()[ONE] == note(e=7, f=1)
    assert sorted(record.state for _, record in store.entities(ONE)) == [b"3", b"A", b"B2"]
    store.load(TWO, note(), others.items, joined)
    assert sorted(record.state for _, record in store.entities(TWO)) == [b"2", b"3"]


def test_a_map_that_grows_meanwhile_adds_nothing_twice(tmp_path):
    store = LmdbStore(tmp_path, first_map=1 << 16)
    store.commit([Change(ONE, note(), {b"a": entity(b"A")})])
    others = {b"a": entity(b"1")} | {b"%05d" % number: entity(bytes(100)) for number in range(5000)}
    store.load(ONE, note(), lambda: iter(sorted(others.items())), joined)
    assert store.get(ONE, b"a") == entity(b"A1")
    assert sum(1 for _ in store.entities(ONE)) == 5001
    store.close()
