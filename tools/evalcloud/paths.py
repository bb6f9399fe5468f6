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

"""Where things are kept outside the checkout."""

import collections.abc
import contextlib
import fcntl
import os
import pathlib
import tempfile
import typing

#: The checkout that this file is part of.
SOURCE = pathlib.Path(__file__).resolve().parents[2]

#: Where Debian keeps daemons, which the PATH of "su" does not have.
_SBIN = ('/usr/local/sbin', '/usr/sbin', '/sbin')


def find_daemons() -> None:
    """Let this process and its children find programs of the system."""
    known = os.environ.get('PATH', '').split(':')
    os.environ['PATH'] = ':'.join(
        known + [folder for folder in _SBIN if folder not in known])


def cache_dir() -> pathlib.Path:
    """What may be thrown away at any time and makes the next run fast."""
    return _directory('NOVA_DOCKER_CACHE', '/var/cache/nova-docker')


def state_dir() -> pathlib.Path:
    """What a running cloud writes."""
    return _directory('NOVA_DOCKER_STATE', '/var/lib/nova-docker-cloud')


def _directory(variable: str, default: str) -> pathlib.Path:
    return pathlib.Path(os.environ.get(variable) or default).absolute()


@contextlib.contextmanager
def locked(name: str) -> typing.Iterator[None]:
    """Let one process at a time build the part of the cache ``name``."""
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f'.{name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(name: str,
         make: collections.abc.Callable[[pathlib.Path], object]
         ) -> pathlib.Path:
    """A folder of the cache, which is whole when it is there.

    :param make: makes it in another place, for the first who wants it
    """
    folder = cache_dir() / name
    with locked(name):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache_dir()) as place:
                fresh = pathlib.Path(place, name)
                make(fresh)
                fresh.rename(folder)
    return folder
