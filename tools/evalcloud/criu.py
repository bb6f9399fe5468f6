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

"""CRIU beside the system, for an engine that checkpoints containers.

Older ones know too little of newer kernels: 3.17 fails on Linux 6.18, and
4.1 can not dump a socket there. Where the distribution has an older one, that
of a later suite is unpacked into the cache with all the libraries that it
needs, also the C library, and runs with those.
"""

import pathlib
import re

from evalcloud import packages
from evalcloud import paths
from evalcloud import progress

#: First version that is good for kernels since.
FLOOR = (4, 2)
#: A suite that has it.
_SUITE = 'forky'

_WRAPPER = """\
#!/bin/sh
exec '{root}/{loader}' --library-path '{root}/{libraries}' \
    '{root}/{program}' "$@"
"""


def path() -> pathlib.Path:
    """Folder with criu; got ready when it is not."""
    return paths.once('criu', _unpack) / 'bin'


def _unpack(folder: pathlib.Path) -> None:
    suite = _choose()
    with progress.Step(f'CRIU of {suite}'):
        folder.mkdir()
        packages.unpack_whole(['criu'], suite, folder / 'root')
        _wrap(folder, paths.cache_dir() / 'criu')


def works() -> bool:
    """Whether there is one that knows this machine's kernel."""
    try:
        progress.run(str(path() / 'criu'), 'check')
    except progress.Failure as failure:
        progress.say(f'no CRIU: {failure}')
        return False
    return True


def options(own: bool) -> dict[str, str | pathlib.Path]:
    """What nova-compute has of [docker].

    :param own: whether the engine is the cloud's own, which has it in its path
    """
    if own and works():
        return {'suspend': 'checkpoint', 'criu': path() / 'criu'}
    return {'suspend': 'freeze'}


def _choose() -> str:
    """The suite to take it from."""
    offered = packages.candidate('criu', refresh=True) or ''
    found = re.match(r'(?:\d+:)?(\d+)\.(\d+)', offered)
    if found and tuple(map(int, found.groups())) >= FLOOR:
        return packages.codename()
    return _SUITE


def _wrap(fresh: pathlib.Path, folder: pathlib.Path) -> None:
    """Make the program that runs what is unpacked in ``fresh``/root.

    :param folder: where it will be
    """
    root = fresh / 'root'
    loader = next(root.glob('usr/lib/*/ld-linux*.so.*')).relative_to(root)
    program = next(root.glob('usr/sbin/criu')).relative_to(root)
    (fresh / 'bin').mkdir()
    wrapper = fresh / 'bin' / 'criu'
    wrapper.write_text(_WRAPPER.format(
        root=folder / 'root', loader=loader, libraries=loader.parent,
        program=program))
    wrapper.chmod(0o755)
