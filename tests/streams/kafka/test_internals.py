"""The table of internals is complete, and matches the installed libraries."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import aiokafka.consumer.fetcher as fetching
import faust
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.consumer import Consumer
from faust.types import TP
from faust.types.tuples import Message

import afresh.streams
from afresh.streams.kafka import internals
from afresh.streams.kafka.app import App
from afresh.streams.kafka.fetcher import RunConsumerThread
from afresh.streams.kafka.internals import REACHES
from afresh.streams.kafka.reach import NONE_FOUND, Reach
from afresh.streams.kafka.recovery import RunTables

ROOT = Path(__file__).parents[3]
LIBRARIES = ("faust", "mode", "aiokafka", "kafka")

NOT_THEIRS = {"_asdict", "_exit", "_replace", "args", "daemon", "msg"}
"""Members of Python's own modules and classes: ``os``, named tuples, threads, records of logs."""

OURS = {
    "applied",
    "apply_seconds",
    "expiry_seconds",
    "fetch_max_wait_seconds",
    "handed_on",
    "heartbeat_answered",
    "positions",
    "released",
    "starts",
    "told",
    "told_to_stop",
    "unfinished",
}
"""Attributes of our own classes that other code in the folders below assigns to."""

WHERE_THEIRS_ARE_HELD = ("streams/kafka/", "streams/runs/", "streams/workers/", "streams/waiting.py")
"""Folders in which an assigned attribute counts as a library's unless it is known as ours."""

MADE_BY_METACLASSES = {"logger", "_abc_impl"}


def resolved(name: str) -> Any:
    """Return a module, or a class in one, by its full name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(importlib.import_module(module), member)


def member(name: str, examples: Sequence[object]) -> tuple[Any, object | None]:
    """Return a member of a library by its full name; an attribute's value comes from an example."""
    owner, _, attribute = name.rpartition(".")
    holder = resolved(owner)
    if isinstance(holder, ModuleType):
        return getattr(holder, attribute), None
    found = vars(holder).get(attribute)
    if inspect.isfunction(found) or inspect.isclass(found) or isinstance(found, property | cached_property):
        return found, None
    example = next(each for each in examples if isinstance(each, holder))
    return getattr(example, attribute), example


def described(thing: Any) -> str:
    """Describe an object as the table does."""
    if isinstance(thing, property | cached_property):
        return "property"
    if inspect.isclass(thing):
        return "class"
    if not callable(thing):
        return type(thing).__name__
    signature = inspect.signature(thing)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()
    ]
    shown = signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)
    return f"{'async ' if inspect.iscoroutinefunction(thing) else ''}{shown}"


def kinds(thing: Any) -> set[str]:
    """Return the names of the classes of a value."""
    return set() if callable(thing) else {kind.__name__ for kind in type(thing).__mro__}


def differences(reaches: Sequence[Reach], examples: Sequence[object]) -> list[str]:
    """Yield a sentence for each difference between the installed libraries and the table."""
    found = []
    for reach in reaches:
        for name, expected in reach.names.items():
            try:
                thing, example = member(name, examples)
                if name in reach.sets and example is not None:
                    setattr(example, name.rpartition(".")[2], thing)
            except AttributeError:
                found.append(f"{name} is gone or read-only; {reach.where} needs it: {reach.why}")
            else:
                if described(thing) != expected and expected not in kinds(thing):
                    found.append(
                        f"{name} is {described(thing)}, not {expected}; see {reach.where}: {reach.why}"
                    )
    return found


@pytest.fixture
async def examples(started_thread: RunConsumerThread) -> Sequence[object]:
    """Make an example of each class whose instances have attributes in the table, as in a running worker."""
    app, client = started_thread.app, started_thread._ensure_consumer()
    assert isinstance(app, App)
    assert isinstance(app.tables, RunTables)
    message = Message("events", 0, 0, 0.0, 0, None, None, None, None, tp=TP("events", 0), generation_id=1)
    producer = AIOKafkaProducer(transactional_id="test")
    assert app.tables.recovery is not None
    return (
        started_thread,
        app,
        app.consumer,
        app.tables,
        client,
        client._fetcher,
        producer,
        producer.client,
        producer._txn_manager,
        message,
        app.create_event(None, None, None, message),
        faust.Worker(app),
        fetching.PartitionRecords(
            TP("events", 0), fetching.MemoryRecords(b""), [], 0, None, None, True, fetching.READ_COMMITTED
        ),
    )


async def test_the_installed_libraries_match_the_table(examples: Sequence[object]) -> None:
    assert differences(REACHES, examples) == []


async def test_a_changed_signature_and_a_renamed_attribute_are_noticed(
    examples: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def later(self: object, tp: TP, *, now: float = 0.0) -> None:
        pass

    (fetcher,) = [each for each in examples if isinstance(each, Fetcher)]
    monkeypatch.setattr(Consumer, "_new_offset", later)
    monkeypatch.delattr(fetcher, "_prefetch_backoff")
    monkeypatch.setattr("faust.tables.manager.TableManager.recovery", 7)
    found = differences(REACHES, examples)
    assert len(found) == 3
    changed, gone, other = found
    assert changed.startswith(
        "faust.transport.consumer.Consumer._new_offset is async (self, tp, *, now=0.0), not (self, tp); "
        "see streams/kafka/transport.py"
    )
    assert gone.startswith("aiokafka.consumer.fetcher.Fetcher._prefetch_backoff is gone")
    assert other.startswith("faust.tables.manager.TableManager.recovery is ")


async def test_the_lag_can_ask_for_the_position_of_a_partition() -> None:
    subscriptions, place = SubscriptionState(), TopicPartition("events", 0)
    subscriptions.assign_from_user([place])
    state = subscriptions.subscription.assignment.state_value(TP("events", 0))
    state.seek(7)
    assert state.position == 7


# Finds what our code reaches into, without the table.


def modules() -> Iterator[tuple[str, ModuleType, ast.Module]]:
    """Yield every module of ours that may use the libraries, with its file and its code."""
    for info in pkgutil.walk_packages(afresh.streams.__path__, "afresh.streams."):
        module = importlib.import_module(info.name)
        path = Path(inspect.getfile(module)).resolve()
        yield str(path.relative_to(ROOT)), module, ast.parse(path.read_text(encoding="utf-8"))


MODULES = list(modules())


def theirs(kind: type) -> list[type]:
    """Return the library classes that a class of ours derives from, the nearest first."""
    if kind.__module__.partition(".")[0] in LIBRARIES:
        return []
    return [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] in LIBRARIES]


def derived() -> dict[str, tuple[str, type]]:
    """Yield our classes that derive from library classes, with their files."""
    return {
        kind.__qualname__: (where, kind)
        for where, module, _ in MODULES
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and theirs(kind)
    }


def overridden(kind: type) -> set[str]:
    """Return the full names of the library members that a class of ours overrides."""
    names = {
        name
        for name in vars(kind)
        if name == "__init__" or not (name.startswith("__") or name in MADE_BY_METACLASSES)
    }
    nearest = {name: next((base for base in theirs(kind) if name in vars(base)), None) for name in names}
    return {f"{base.__module__}.{base.__qualname__}.{name}" for name, base in nearest.items() if base}


def stored(tree: ast.AST) -> set[str]:
    """Return the names of attributes that code assigns to ``self``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and of_self(node)
    }


def of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def declared(tree: ast.AST) -> set[str]:
    """Return the names of the members that the classes in some code define."""
    names = stored(tree)
    for node in ast.walk(tree):
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            match part:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    names.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                    names.add(name)
    return names


@cache
def members(kind: type) -> set[str]:
    """Return the names of the members that a class of ours inherits from libraries, including those of instances."""
    names: set[str] = set()
    for base in theirs(kind):
        names |= set(vars(base)) | set(getattr(base, "__annotations__", ()))
        names |= stored(ast.parse(textwrap.dedent(inspect.getsource(base))))
    return names


def reached_into(tree: ast.AST, where: str) -> set[str]:
    """Yield private members of other objects that code uses, and members of other objects that it assigns to."""
    others = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and not of_self(node)]
    private = {node.attr for node in others if is_private(node.attr)} - declared(tree)
    assigned = {node.attr for node in others if isinstance(node.ctx, ast.Store)} - OURS
    return (private | (assigned if where.startswith(WHERE_THEIRS_ARE_HELD) else set())) - NOT_THEIRS


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def reached_by_self(tree: ast.AST, kind: type) -> set[str]:
    """Yield private inherited members that a class of ours uses, and inherited members that it assigns to."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and of_self(node)
        and node.attr in members(kind)
        and (is_private(node.attr) or isinstance(node.ctx, ast.Store))
    }


def named(where: str) -> set[str]:
    """Return the last parts of the names that the table has for a file of ours."""
    return {name.rpartition(".")[2] for reach in REACHES if reach.where == where for name in reach.names}


def test_the_classes_that_derive_from_theirs_are_found() -> None:
    assert {
        "App",
        "RunTransport",
        "RunConsumer",
        "RunConsumerThread",
        "RunRecovery",
        "RunTables",
        "RunTable",
        "PartitionRecords",
    } == set(derived())


@pytest.mark.parametrize("name", derived())
def test_every_overridden_library_method_is_in_the_table(name: str) -> None:
    where, kind = derived()[name]
    table = {each for reach in REACHES if reach.where == where for each in reach.overrides}
    assert overridden(kind)
    assert overridden(kind) <= table


def test_everything_in_the_table_is_really_overridden() -> None:
    table = {each for reach in REACHES for each in reach.overrides}
    assert table == {each for _, kind in derived().values() for each in overridden(kind)}


@pytest.mark.parametrize("name", derived())
def test_an_override_accepts_the_arguments_of_the_original(name: str) -> None:
    _, kind = derived()[name]
    for each in overridden(kind):
        attribute = each.rpartition(".")[2]
        ours, other = (described(thing) for thing in (vars(kind)[attribute], member(each, ())[0]))
        if attribute != "__init__" and "*args" not in ours:
            assert ours == other, each


@pytest.mark.parametrize("where", [where for where, _, _ in MODULES])
def test_every_private_name_that_a_module_uses_is_in_the_table(where: str) -> None:
    _, module, tree = next(each for each in MODULES if each[0] == where)
    found = reached_into(tree, where)
    for node in ast.walk(tree):
        kind = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if kind is not None and theirs(kind):
            found |= reached_by_self(node, kind)
            found |= set(kind.__annotations__) & members(kind)
    assert found <= named(where), f"name it in {internals.__name__}, or in OURS if it is ours"


def test_names_that_the_table_would_need_are_found() -> None:
    class Later(App):
        async def on_started(self) -> None:
            pass

    assert overridden(Later) == {"faust.app.base.App.on_started"}
    code = ast.parse("def f(x, self):\n    x._client.y = x._own\n    self._z = 1\nclass A:\n    _own: int\n")
    assert reached_into(code, "streams/kafka/app.py") == {"_client", "y"}
    assert reached_into(code, "streams/stages/learn.py") == {"_client"}
    code = ast.parse("self._consumer.z(self._assignment, self._new_of_ours); self.rebalancing = self.tables")
    assert reached_by_self(code, Later) == {"_consumer", "_assignment", "rebalancing"}


@pytest.mark.parametrize("reach", REACHES, ids=lambda reach: f"{reach.where}: {' '.join(reach.names)[:60]}")
def test_every_entry_names_a_file_of_ours_and_a_test(reach: Reach) -> None:
    code = (ROOT / reach.where).read_text(encoding="utf-8")
    assert [name for name in reach.names if name.rpartition(".")[2] not in code] == []
    path, _, name = reach.test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert reach.why.endswith(".")
    assert reach.issue == NONE_FOUND or reach.issue.partition("#")[2].isdigit()


def test_the_table_is_printed_with_every_name() -> None:
    text = internals.as_markdown()
    assert text.count("\n") == len(REACHES) + 2
    assert all(f"`{name}`" in text for reach in REACHES for name in reach.names)
