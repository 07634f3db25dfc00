"""The lists in Redis, where any front end reads a list with one GET.

Only this module knows the keys in Redis, and how to write and read their values.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal, TypeVar
from uuid import uuid4

import msgspec
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from afresh.state.errors import AfreshError

HEARTBEAT_SECONDS = 3600
"""Shortest lifetime of a writer's heartbeat key after its last call."""

PROBE_SECONDS = 60
"""Lifetime of the key that is written to see whether Redis takes lists."""

NO_EVICTION = "noeviction"
"""The ``maxmemory-policy`` by which Redis refuses writes when it is full, and evicts nothing."""

READ_AT_ONCE = 1000
SCAN_AT_ONCE = 5000


def _script(name: str) -> str:
    folder = files("afresh.state")
    return folder.joinpath("is_newer.lua").read_text() + folder.joinpath(f"{name}.lua").read_text()


_REPLACE, _LOOK = _script("replace_unless_newer"), _script("look_at_lists")
_MAY_NOT = ("user executing the script", "ACL failure in script")
"""What Redis and Valkey say when the script runs a command that our user may not run; it has no code of its own."""

_encode = msgspec.json.Encoder().encode


OTHERS = "others"
"""Name of what all scorers together added that an item of a list does not name."""


class ListItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item of a list.

    Attributes
    ----------
    id, score
        Id of the item, and its score.
    parts
        What scorers added to the score: those that added or took away most, the largest first, and ``OTHERS``. The sum
        is the score. Lists of 0.1.0 name every scorer.
    propensity
        Chance of the item to get this place, if places are given to new items; else None.
    """

    id: str
    score: float
    parts: dict[str, float]
    propensity: float | None = None


class UserList(msgspec.Struct, frozen=True):
    """A user's list as it is stored in Redis. The first three fields are its age; scripts read them in this order.

    Attributes
    ----------
    since
        Time at which Kafka took the user's first event, in ms.
    revision
        Number of the user's events that the list takes in.
    generated_at
        Time at which the list was made, RFC 3339. It always has microseconds, so that text order is time order.
    user, last_event
        The canonical user, and the id of the newest event that the list takes in.
    model
        Version of the program.
    items
        The list, best first.
    weights
        Version of the weights that the list was made with; 0 for the priors, and in lists of 0.1.0.
    model_version
        Version of the model that the list was made with; 0 for none, and in lists of 0.1.0.
    """

    since: int
    revision: int
    generated_at: str
    user: str
    last_event: str
    model: str
    items: list[ListItem]
    weights: int = 0
    model_version: int = 0


class PopularItem(msgspec.Struct, frozen=True):
    """An item of a popular list, with its score."""

    id: str
    score: float


class PopularList(msgspec.Struct, frozen=True):
    """The list of a domain for users about whom nothing is known: its popular items, weighed as the fusion learned."""

    since: int
    revision: int
    generated_at: str
    domain: str
    items: list[PopularItem]
    weights: int = 0


class Due(msgspec.Struct, frozen=True):
    """The least age that a list in Redis should have; its fields are the first ones of a list."""

    since: int
    revision: int
    generated_at: str


Found = Literal["right", "missing", "stale"]
"""How a list stands in Redis: as new as it should be or newer, not at all, or older."""

_FOUND: Mapping[str, Found] = {"r": "right", "m": "missing", "s": "stale"}

_user_list_decoder = msgspec.json.Decoder(UserList)
_popular_list_decoder = msgspec.json.Decoder(PopularList)

T = TypeVar("T")


def decode_user_list(packed: bytes, user: str) -> UserList:
    """Decode a user's list.

    Raises
    ------
    AfreshError
        The bytes are no list.
    """
    return _decoded(_user_list_decoder, packed, user)


def decode_popular_list(packed: bytes, domain: str) -> PopularList:
    """Decode the popular list of a domain.

    Raises
    ------
    AfreshError
        The bytes are no list.
    """
    return _decoded(_popular_list_decoder, packed, domain)


def _decoded(decoder: msgspec.json.Decoder[T], packed: bytes, whose: str) -> T:
    try:
        return decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise AfreshError(
            f"what Redis holds for {whose} is no list ({error}); did another program write it?"
        ) from error


def recommendations_key(namespace: str, user: str) -> str:
    """Return the key of a canonical user's list.

    Examples
    --------
    >>> recommendations_key("afresh", "web:ann")
    'afresh:recommendations:web:ann'
    """
    return f"{namespace}:recommendations:{user}"


def popular_key(namespace: str, domain: str) -> str:
    """Return the key of a domain's popular list.

    Examples
    --------
    >>> popular_key("afresh", "films")
    'afresh:popular:films'
    """
    return f"{namespace}:popular:{domain}"


def probe_key(namespace: str) -> str:
    """Return the key that is written to see whether Redis takes lists."""
    return f"{namespace}:writer:probe"


def recommendations_pattern(namespace: str) -> str:
    """Return the pattern of the keys of all users' lists; a namespace has no wildcards in it."""
    return recommendations_key(namespace, "*")


def popular_pattern(namespace: str) -> str:
    """Return the pattern of the keys of all popular lists."""
    return popular_key(namespace, "*")


def everything_pattern(namespace: str) -> str:
    """Return the pattern of all keys of a namespace, also those of heartbeats."""
    return f"{namespace}:*"


def user_of(namespace: str, key: bytes) -> str:
    """Return the user whose list is under a key.

    Examples
    --------
    >>> user_of("afresh", b"afresh:recommendations:web:ann")
    'web:ann'
    """
    return key.decode(errors="replace").removeprefix(recommendations_key(namespace, ""))


def domain_of(namespace: str, key: bytes) -> str:
    """Return the domain whose popular list is under a key."""
    return key.decode(errors="replace").removeprefix(popular_key(namespace, ""))


class ListReader:
    """Reads lists as bytes. It is for tools, because it blocks until each answer comes.

    Parameters
    ----------
    redis
        A client that returns bytes. Its errors are not caught.
    namespace
        First part of every key.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self._redis = redis
        self._namespace = namespace

    def of_user(self, user: str) -> bytes | None:
        """Read the list of a canonical user, if there is one."""
        return self._get(recommendations_key(self._namespace, user))

    def popular(self, domain: str) -> bytes | None:
        """Read the popular list of a domain, if there is one."""
        return self._get(popular_key(self._namespace, domain))

    def _get(self, key: str) -> bytes | None:
        found = self._redis.get(key)
        return found if isinstance(found, bytes) else None

    def of_users(self) -> dict[str, bytes]:
        """Read the lists of all users."""
        found = self._all(recommendations_pattern(self._namespace))
        return {user_of(self._namespace, key): packed for key, packed in found}

    def of_domains(self) -> dict[str, bytes]:
        """Read the popular lists of all domains."""
        found = self._all(popular_pattern(self._namespace))
        return {domain_of(self._namespace, key): packed for key, packed in found}

    def _all(self, pattern: str) -> Iterator[tuple[bytes, bytes]]:
        for keys in self._keys(pattern):
            values: Any = self._redis.mget(keys)
            yield from ((key, value) for key, value in zip(keys, values, strict=True) if value is not None)

    def beginnings(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        """Read the key and the first ``size`` bytes of every list, of users and of domains."""
        for pattern in (recommendations_pattern(self._namespace), popular_pattern(self._namespace)):
            for keys in self._keys(pattern):
                pipeline = self._redis.pipeline(transaction=False)
                for key in keys:
                    pipeline.getrange(key, 0, size)
                yield from ((key, head) for key, head in zip(keys, pipeline.execute(), strict=True) if head)

    def _keys(self, pattern: str) -> Iterator[list[bytes]]:
        """Return the keys of a pattern, ``READ_AT_ONCE`` at a time."""
        keys = list(self._redis.scan_iter(match=pattern, count=SCAN_AT_ONCE))
        return (keys[start : start + READ_AT_ONCE] for start in range(0, len(keys), READ_AT_ONCE))

    def count_users(self) -> int:
        """Count users' lists."""
        pattern = recommendations_pattern(self._namespace)
        return sum(1 for _ in self._redis.scan_iter(match=pattern, count=SCAN_AT_ONCE))


def check_rights(redis: Redis, namespace: str) -> None:
    """Write once as lists are written, and ignore every refusal that may pass by itself.

    Raises
    ------
    redis.exceptions.NoPermissionError
        Our user may not do what writing a list needs.
    redis.exceptions.RedisError
        Redis does not answer, or does not know what we ask for.
    """
    try:
        sha = redis.script_load(_REPLACE)
        redis.evalsha(str(sha), 1, probe_key(namespace), "", str(PROBE_SECONDS))
    except NoPermissionError:
        raise
    except ResponseError as error:
        if any(words in str(error) for words in _MAY_NOT):
            raise NoPermissionError(str(error)) from error
        if "unknown command" in str(error):
            raise


class ListStore:
    """Writes lists so that an older one never replaces a newer one.

    Whenever Redis refuses or fails, its idle connections are closed, so that its address is looked up anew. After a
    failover behind a name or a proxy, the old connections still lead to the old Redis, which is a replica now.

    Parameters
    ----------
    redis
        The client.
    namespace
        First part of every key.
    ttl_seconds
        Lifetime of a list, in seconds.
    """

    def __init__(self, redis: AsyncRedis, namespace: str, ttl_seconds: int) -> None:
        self._redis = redis
        self._namespace = namespace
        self._ttl = ttl_seconds
        self._shas: dict[str, str] = {}
        self._heartbeat_key = f"{namespace}:writer:{uuid4().hex}"
        # Not shorter than that of lists: where Redis evicts what expires soonest (volatile-ttl), it would evict the
        # heartbeat first, and every second would look like the loss of all lists.
        self._heartbeat_ttl = max(HEARTBEAT_SECONDS, ttl_seconds)
        self._heartbeats = 0

    async def push(self, lists: Sequence[UserList], users: Sequence[Sequence[str]] = ()) -> int:
        """Write users' lists in one round trip; return how many were not written because Redis had a newer one.

        Parameters
        ----------
        lists
            The lists.
        users
            For each list, the accounts under whose keys it is written; by default only its own user.

        Raises
        ------
        redis.exceptions.RedisError
            Redis does not answer or refuses.
        """
        written = zip(lists, users or [(each.user,) for each in lists], strict=True)
        return await self._write(
            [
                (recommendations_key(self._namespace, user), packed)
                for made, accounts in written
                for packed in [_encode(made)]
                for user in accounts
            ],
            self._ttl,
        )

    async def push_popular(self, lists: Sequence[PopularList]) -> int:
        """Write the popular lists of domains; result and errors are those of ``push``."""
        return await self._write(
            [(popular_key(self._namespace, each.domain), _encode(each)) for each in lists], self._ttl
        )

    async def probe(self) -> None:
        """Write as lists are written, into a key that nobody reads; errors are those of ``push``."""
        await self._write([(probe_key(self._namespace), b"")], PROBE_SECONDS)

    async def look(self, users: Mapping[str, Due]) -> dict[str, Found]:
        """Say in one round trip how the lists of users stand; errors are those of ``push``."""
        return await self._look({user: recommendations_key(self._namespace, user) for user in users}, users)

    async def look_at_popular(self, domains: Mapping[str, Due]) -> dict[str, Found]:
        """Say in one round trip how the popular lists of domains stand; errors are those of ``push``."""
        return await self._look({domain: popular_key(self._namespace, domain) for domain in domains}, domains)

    async def _look(self, keys: Mapping[str, str], due: Mapping[str, Due]) -> dict[str, Found]:
        call = (len(keys), *keys.values(), *(_encode(due[name]) for name in keys))
        (found,) = await self._run_anyhow(_LOOK, [call])
        return {name: _FOUND[letter] for name, letter in zip(keys, found.decode(), strict=True)}

    async def _write(self, values: Sequence[tuple[str, bytes]], ttl: int) -> int:
        written = await self._run_anyhow(_REPLACE, [(1, key, value, ttl) for key, value in values])
        return len(values) - int(sum(written))

    async def _run_anyhow(self, script: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run a script in one round trip, once for each call: the number of keys, the keys, and the arguments."""
        async with self._looked_up_anew_after_errors():
            try:
                return await self._run_script(script, calls)
            except NoScriptError:
                # A restarted Redis has forgotten the script, and a new one never had it.
                self._shas.clear()
                return await self._run_script(script, calls)

    async def _run_script(self, script: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        if script not in self._shas:
            self._shas[script] = str(await self._redis.script_load(script))
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(self._shas[script], *call)
        # Raised here: the client would put the command before the reason.
        answers = await pipeline.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    @asynccontextmanager
    async def _looked_up_anew_after_errors(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError):
            # Those in use find out by themselves.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise

    async def has_lost(self) -> bool:
        """Return whether Redis has lost data since the last call: flushed, or started empty or from an older copy.

        Each call adds one to a key of our own, and compares the old value with the value that it should have.

        Raises
        ------
        redis.exceptions.RedisError
            Redis does not answer or refuses.
        """
        async with self._looked_up_anew_after_errors():
            held = await self._redis.set(
                self._heartbeat_key, self._heartbeats + 1, ex=self._heartbeat_ttl, get=True
            )
        # A value above the acknowledged one is no loss: Redis counted, but its answer did not arrive.
        lost = int(held or 0) < self._heartbeats
        self._heartbeats += 1
        return lost

    async def eviction(self) -> str:
        """Return the policy by which Redis evicts lists once it is full; "" if it evicts none, or does not tell.

        Raises
        ------
        redis.exceptions.RedisError
            Redis does not answer or refuses.
        """
        # Not by CONFIG, which managed servers forbid.
        memory = await self._redis.info("memory")
        policy = str(memory.get("maxmemory_policy", NO_EVICTION))
        return policy if memory.get("maxmemory") and policy != NO_EVICTION else ""


def timestamp(seconds: float) -> str:
    """Format a time, in seconds since 1970, as RFC 3339 with microseconds.

    Examples
    --------
    >>> timestamp(0.5)
    '1970-01-01T00:00:00.500000Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
