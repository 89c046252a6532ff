"""Kafka's jars are trusted by their hash alone; a cut or foreign file never starts a broker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edgeweir.dev.errors import Missing
from edgeweir.dev.jars import Jar, are_cached, class_path, fetch, read_lock
from edgeweir.dev.places import KAFKA_VERSION, Places
from edgeweir.dev.ports import free_port

CONTENTS = {"alpha": b"alpha's classes" * 100, "beta": b"beta's classes" * 100}
LOCK = [Jar("org.example", name, "1.0", hashlib.sha256(body).hexdigest()) for name, body in CONTENTS.items()]


class Repository:
    """A small Maven repository on loopback that counts what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                if self.path.endswith(".jar"):
                    asked.append(self.path.rsplit("/", 1)[-1])

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        Thread(target=self.server.serve_forever, daemon=True).start()
        for jar in LOCK:
            self.put(jar, CONTENTS[jar.artifact])

    def put(self, jar: Jar, body: bytes) -> None:
        path = self.folder / jar.group.replace(".", "/") / jar.artifact / jar.version / jar.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path / "repository")
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def here(tmp_path: Path, repository: Repository) -> Places:
    host, port = repository.server.server_address[:2]
    return Places(cache=tmp_path / "cache", state=tmp_path / "state", maven_mirror=f"http://{host!s}:{port}")


def unreachable(places: Places) -> Places:
    return Places(cache=places.cache, state=places.state, maven_mirror=f"http://127.0.0.1:{free_port()}")


def test_an_empty_cache_is_filled_once_and_needs_no_network_afterwards(here: Places, repository: Repository) -> None:
    files = fetch(LOCK, here)
    assert [file.name for file in files] == ["alpha-1.0.jar", "beta-1.0.jar"]
    assert files[0].read_bytes() == CONTENTS["alpha"]
    assert fetch(LOCK, unreachable(here)) == files
    assert sorted(repository.asked) == ["alpha-1.0.jar", "beta-1.0.jar"]


def test_a_truncated_jar_is_noticed_and_it_alone_is_fetched_again(here: Places, repository: Repository) -> None:
    alpha, _beta = fetch(LOCK, here)
    alpha.write_bytes(CONTENTS["alpha"][:100])
    repository.asked.clear()
    fetch(LOCK, here)
    assert alpha.read_bytes() == CONTENTS["alpha"]
    assert repository.asked == ["alpha-1.0.jar"]


def test_a_download_that_was_cut_does_not_count_as_cached(here: Places) -> None:
    cut = here.kafka / "download" / "org/example/alpha/1.0/alpha-1.0.jar"
    cut.parent.mkdir(parents=True)
    cut.write_bytes(CONTENTS["alpha"][:10])
    assert fetch(LOCK, here)[0].read_bytes() == CONTENTS["alpha"]


def test_a_jar_that_is_not_the_locked_one_is_refused_after_three_tries(here: Places, repository: Repository) -> None:
    repository.put(LOCK[1], b"something else")
    with pytest.raises(Missing) as refused:
        fetch(LOCK, here)
    assert refused.value.sentence == "beta-1.0.jar: checksum differs from the lock; nothing was started"
    assert refused.value.exit_code == 3
    assert repository.asked.count("beta-1.0.jar") == 3
    assert not (here.kafka / "jars" / "beta-1.0.jar").exists()


def test_without_a_network_one_sentence_says_how_many_jars_are_missing_and_names_no_host(here: Places) -> None:
    fetch(LOCK[:1], here)
    with pytest.raises(Missing) as refused:
        fetch(LOCK, unreachable(here))
    assert refused.value.sentence.startswith("Maven Central cannot be reached and 1 of 2 jars are missing; fetch once")
    assert "http" not in str(refused.value)


def test_a_jar_that_the_repository_does_not_hold_is_named(here: Places) -> None:
    with pytest.raises(Missing, match=r"^gamma-2\.0\.jar is not in the repository; nothing was started$"):
        fetch([Jar("org.example", "gamma", "2.0", "0" * 64)], here)


def test_a_folder_of_the_users_own_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("kafka_2.13-9.9.9.jar", "kafka-clients-9.9.9.jar"):
        (tmp_path / name).touch()
    own = Places(cache=tmp_path, state=tmp_path, jars=tmp_path)
    assert [jar.name for jar in class_path(own)] == ["kafka-clients-9.9.9.jar", "kafka_2.13-9.9.9.jar"]
    assert are_cached(own)


def test_a_folder_without_a_broker_in_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"holds no kafka_2\.13 jar"):
        class_path(Places(cache=tmp_path, state=tmp_path, jars=tmp_path))


def test_a_kafka_without_a_list_of_jars_is_refused_with_the_remedy() -> None:
    with pytest.raises(Missing, match=r"no list of jars for Kafka 1\.2\.3: unset EDGEWEIR_DEV_KAFKA_VERSION"):
        read_lock("1.2.3")


def test_the_committed_list_is_sorted_hashed_and_names_no_host() -> None:
    jars = read_lock(KAFKA_VERSION)
    assert len(jars) == 45
    assert jars == sorted(jars, key=lambda jar: f"{jar.group}:{jar.artifact}:")
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in {jar.file_name for jar in jars}
