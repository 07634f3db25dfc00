"""Redis in each of its roles: after a failover, behind Sentinels, as replica, Sentinel or node of Redis Cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from afresh.deploy.clients import redis_client
from afresh.deploy.servers import Server, local_redis
from afresh.deploy.servers.process import HOST, ServerProcess
from afresh.state.errors import AfreshError
from afresh.state.lists import ListReader, ListStore, UserList, timestamp
from afresh.streams import redis_url
from afresh.streams.connections import redis_options
from afresh.streams.serving.push import until_taken
from afresh.streams.settings import Settings
from afresh.streams.waiting import wait_for_redis
from tests.certificates import Authority
from tests.conftest import settings_for
from tests.kafka.deployment import Deployment, deployment, wait
from tests.kafka.redis_roles import SERVICE, Door, command, master_and_replica, port_of, sentinel, swap
from tests.streams.making import read_page

pytestmark = pytest.mark.servers

LOGIN = "hunter2"
OF_SENTINEL = "hunter3"


def says(process: ServerProcess, words: str) -> bool:
    """Whether a worker is not ready, because of that, and alive."""
    status, text = read_page(process.port, "/ready")
    return status == 503 and words in text and read_page(process.port, "/health")[0] == 200


def is_ready(process: ServerProcess) -> bool:
    return read_page(process.port, "/ready")[0] == 200


def take(made: Deployment, item: str) -> None:
    """Let a user take an item, and wait for the list."""
    event = made.event("ann", item)
    wait(lambda: (held := made.list_of("ann")) and held.last_event == event, "the list", 40)


class Behind(NamedTuple):
    """A worker, and two Redis behind one address."""

    made: Deployment
    process: ServerProcess
    servers: list[Server]
    door: Door


@pytest.fixture(scope="module")
def behind(kafka: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("behind")
    with master_and_replica(folder) as servers, Door(servers[0]) as door:
        settings = settings_for(kafka, servers[0], folder)
        settings = settings.model_copy(update={"redis": type(settings.redis)(door.address)})
        with deployment(settings, folder) as made:
            process = made.process()
            with made.running(process):
                yield Behind(made, process, servers, door)
        door.shutdown()


def test_after_a_failover_that_keeps_connections_open_lists_are_pushed_again(behind: Behind) -> None:
    made, process, (old, new), door = behind
    made.item("alien")
    take(made, "alien")
    swap(old, new)
    # Whoever still holds a connection is told that the old Redis takes nothing.
    wait(lambda: says(process, "read only replica"), "the worker to notice", 20)
    door.target = port_of(new)
    take(made, "alien")
    wait(lambda: is_ready(process), "the worker to be ready again", 20)


REFUSALS = {
    "used memory": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "no permissions": ("ACL SETUSER default -evalsha", "ACL SETUSER default +evalsha"),
    "read only replica": (f"REPLICAOF {HOST} 1", "REPLICAOF NO ONE"),
    "Not enough good replicas": ("CONFIG SET min-replicas-to-write 2", "CONFIG SET min-replicas-to-write 0"),
}
"""What Redis says when it refuses a write, and the commands that make it refuse and take writes."""


def test_a_worker_is_ready_only_while_redis_takes_writes(behind: Behind) -> None:
    process, door = behind.process, behind.door
    for words, (refuse, take_again) in REFUSALS.items():
        (server,) = (each for each in behind.servers if port_of(each) == door.target)
        command(server, *refuse.split())
        wait(partial(says, process, words), f"the worker to say: {words}", 20)
        command(server, *take_again.split())
        wait(partial(is_ready, process), "the worker to be ready again", 20)


def user_list(revision: int) -> UserList:
    return UserList(1, revision, timestamp(revision), "web:ann", "e", "m", [])


class Watched(NamedTuple):
    """A master and a replica that a Sentinel watches, and settings that name the Sentinel."""

    master: Server
    settings: Settings


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    authority = Authority(folder / "certificates")
    own = str(authority.issue("redis"))
    files = {"cert": own, "key": own, "ca-cert": str(authority.file)}
    tls = [f"tls-{name}-file {path}" for name, path in files.items()] + ["tls-replication yes"]
    arguments = [word for line in tls for word in f"--{line}".split()]
    login = ["--requirepass", LOGIN, "--masterauth", LOGIN]
    lines = [*tls, f"requirepass {OF_SENTINEL}", f"sentinel auth-pass {SERVICE} {LOGIN}"]
    with (
        master_and_replica(folder, [*arguments, *login], tls=True) as (master, _),
        sentinel(folder / "sentinel", master, lines, tls=True) as address,
    ):
        # Nobody is at the first address.
        settings = Settings(
            _env_file=None,
            redis=SecretStr(
                f"rediss+sentinel://:{LOGIN}@{HOST}:1,{address}/{SERVICE}/0?sentinel_password={OF_SENTINEL}"
            ),
            redis_ca_file=authority.file,
            redis_certificate_file=Path(own),
            start_timeout_seconds=20.0,
        )
        yield Watched(master, settings)


async def test_sentinels_tell_where_redis_is_also_after_the_death_of_the_master_and_with_tls_and_logins(
    tmp_path: Path,
) -> None:
    with tls_or_skip(), watched(tmp_path) as (master, settings):
        await asyncio.to_thread(wait_for_redis, settings)
        client = redis_url.async_client(**redis_options(settings), socket_timeout=5.0)
        store = ListStore(client, settings.namespace, 60)
        assert await store.push([user_list(1)]) == 0
        # Only a replica that has come so far can take over.
        await client.wait(1, 20_000)
        master.kill()
        assert await asyncio.wait_for(until_taken(partial(store.push, [user_list(2)])), 60) == 0
        with redis_client(settings) as reader:
            found = ListReader(reader, settings.namespace).of_user("web:ann")
        assert found is not None
        assert b'"revision":2' in found
        await client.aclose()


@contextmanager
def tls_or_skip() -> Iterator[None]:
    """Skip the test if no Redis here speaks TLS."""
    try:
        yield
    except AfreshError as error:
        if "tls" not in str(error).lower():
            raise
        pytest.skip(f"no Redis that speaks TLS (install redis-server): {error}")


def refused(address: str, **values: Any) -> str:
    """Return the sentence with which a start is refused."""
    settings = Settings(_env_file=None, redis=address, **({"start_timeout_seconds": 20.0} | values))
    with pytest.raises(AfreshError) as raised:
        wait_for_redis(settings)
    return str(raised.value)


def test_a_server_that_cannot_serve_lists_is_refused_at_start_in_a_sentence(tmp_path: Path) -> None:
    with (
        master_and_replica(tmp_path) as (master, replica),
        local_redis(tmp_path / "cluster", arguments=["--cluster-enabled", "yes"]) as cluster,
        sentinel(tmp_path / "sentinel", master) as guard,
    ):
        for database in ("0", "3"):
            assert "is a node of Redis Cluster, which is not" in refused(cluster.address[:-1] + database)
            assert "is a Sentinel; set AFRESH_REDIS=redis+sentinel" in refused(f"redis://{guard}/{database}")
        assert "is a replica, which takes no lists" in refused(replica.address, start_timeout_seconds=0.3)
        assert "does not know what we need" in refused(f"redis+sentinel://{HOST}:{port_of(master)}/{SERVICE}")
        assert "No master found for 'other'" in refused(
            f"redis+sentinel://{guard}/other", start_timeout_seconds=0.3
        )
        for right in ("script", "evalsha", "get", "set"):
            command(master, "ACL", "SETUSER", "ann", "on", ">p", "~*", "+@all", f"-{right}")
            assert "Redis refuses us" in refused(master.address.replace("://", "://ann:p@"))
        # A worker starts while Redis is full, and says on its page what it waits for.
        command(master, "CONFIG", "SET", "maxmemory", "1")
        wait_for_redis(Settings(_env_file=None, redis=master.address))
