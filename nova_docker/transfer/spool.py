#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Where a host keeps the parts of servers that come from other hosts.

Each server has a directory, named after it; its files are the parts, archives
of GNU tar. They come into another directory, which gets that name when all of
them are on the disk: so what has it is whole, whoever was killed before.
"""

import collections.abc
import contextlib
import os
import re
import shutil
import tempfile

#: Of parts: they are names of files.
NAME = re.compile(r'[a-z][a-z0-9.-]{0,31}')
#: Of a part that changes what another one has, at the end of its name.
CHANGES = '.changes'
_COMING = '.coming-'


def directory(state_dir: str) -> str:
    """Where those of all servers are."""
    return os.path.join(state_dir, 'transfers')


def path(state_dir: str, uuid: str, *part: str) -> str:
    """Where a part of a server is, or all that has come of it."""
    return os.path.join(directory(state_dir), uuid, *part)


def complete(state_dir: str, uuid: str) -> bool:
    """Whether all parts of a server have come, and are still here."""
    return os.path.isdir(path(state_dir, uuid))


def arrived(state_dir: str, uuid: str) -> dict[str, str]:
    """Paths, by name, of parts of a server that has not come as a whole."""
    made = path(state_dir, f'{_COMING}{uuid}')
    return {name: os.path.join(made, name) for name in os.listdir(made)}


def parts(state_dir: str, uuid: str) -> dict[str, int]:
    """By name, the bytes of the parts of a server that have come.

    Those that change other ones stand behind them.
    """
    if not complete(state_dir, uuid):
        return {}
    with os.scandir(path(state_dir, uuid)) as entries:
        return {entry.name: entry.stat().st_size for entry in
                sorted(entries, key=lambda entry: entry.name)}


def begin(state_dir: str, uuid: str) -> str:
    """An empty directory for the parts of a server that will come.

    What came before is removed.
    """
    discard(state_dir, uuid)
    made = path(state_dir, f'{_COMING}{uuid}')
    os.makedirs(directory(state_dir), mode=0o700, exist_ok=True)
    os.mkdir(made, 0o700)
    return made


def finish(made: str) -> None:
    """Say that all parts have come into a directory, and are on the disk.

    :param made: by :func:`begin`
    """
    _sync(made)
    parent, name = os.path.split(made)
    os.rename(made, os.path.join(parent, name.removeprefix(_COMING)))
    _sync(parent)


def discard(state_dir: str, uuid: str) -> None:
    """Remove all that has come of a server (idempotent)."""
    for name in uuid, f'{_COMING}{uuid}':
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path(state_dir, name))


def unknown(state_dir: str,
            known: collections.abc.Collection[str]) -> list[str]:
    """The servers of which all parts are here, but for those that are known.
    """
    return sorted(name for name in _names(state_dir)
                  if not name.startswith('.') and name not in known)


def clear(state_dir: str) -> None:
    """Remove what was being received or sent; nobody goes on with it."""
    for name in _names(state_dir):
        if name.startswith('.'):
            shutil.rmtree(path(state_dir, name))


@contextlib.contextmanager
def fifo(state_dir: str, uuid: str) -> collections.abc.Iterator[str]:
    """A FIFO for the parts of a server that go."""
    with going(state_dir, uuid) as made:
        name = os.path.join(made, 'fifo')
        os.mkfifo(name, 0o600)
        yield name


@contextlib.contextmanager
def going(state_dir: str, uuid: str) -> collections.abc.Iterator[str]:
    """A directory for what is made to go; it is removed at the end."""
    os.makedirs(directory(state_dir), mode=0o700, exist_ok=True)
    made = tempfile.mkdtemp(prefix=f'.going-{uuid}-',
                            dir=directory(state_dir))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _names(state_dir: str) -> list[str]:
    try:
        return os.listdir(directory(state_dir))
    except FileNotFoundError:
        return []


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
