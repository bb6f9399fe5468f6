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

"""The files of a directory in two archives: most of them while they are used.

The second one is made when nobody uses them any more. Before it stands a list
of what of the first one is as it is to be; whoever unpacks it removes all
else. So it need not be known what else the first one has: a file that was
there for a moment, or in another place.

GNU tar's own incremental archives are not fit for that: attributes that a
directory has lost come back, and some of the renames that it finds can't be
unpacked (seen with tar 1.34).
"""

import collections
import collections.abc
import os
import re
import shutil
import time

import nova_docker.privsep
from nova_docker.privsep import archive
from nova_docker.privsep import program

#: Seconds for which a file may be written to after the time of its last
#: change: one call that writes much has that of its beginning.
_WRITING = 30
#: What tells whether a file was changed, after its path. Not the device: that
#: of a disk is another one when it is mounted again.
_RECORD = r'%p//%y %n %i %s %T@ %C@\0'
_ANYTHING = re.compile(rb'.*', re.DOTALL)


@nova_docker.privsep.moves_pctxt.entrypoint
def survey(directory: str, notes: str) -> None:
    """Note what is in a directory, before the first archive of it is made.

    :param notes: path of new files, to which each adds its suffix
    :raises NotADirectoryError: the directory is none, or a link
    :raises OSError: it can't be noted
    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
        read
    """
    archive.check(directory)
    before = time.time() - _WRITING
    # From now on also what is written to by way of memory has a new time.
    program.run('sync', '--file-system', directory)
    with open(f'{notes}.seen', 'xb') as file:
        # What goes before it is seen, or is not seen at all, comes again.
        archive.run(_finding('!', '-newerct', f'@{before:.9f}'),
                    stdout=file.fileno(), directory=directory, codes=(0, 1),
                    expected=_ANYTHING)


@nova_docker.privsep.moves_pctxt.entrypoint
def pack_first(directory: str, fifo: str, notes: str) -> None:
    """Write an archive of a directory that is in use to a FIFO.

    Errors as of :func:`nova_docker.privsep.archive.pack`.

    :param notes: as of :func:`survey`
    """
    with archive.opened(fifo) as descriptor:
        archive.create(
            directory, descriptor, '--verbose', '--quoting-style=literal',
            f'--index-file={notes}.packed', '.', in_use=True)


@nova_docker.privsep.moves_pctxt.entrypoint
def compare(directory: str, notes: str) -> None:
    """Note what is not in the first archive of a directory as it is now.

    Nobody writes there any more. Errors as of :func:`survey`.
    """
    archive.check(directory)
    seen = _lines(f'{notes}.seen', b'\0')
    # A name of several lines is in none of them, and comes again.
    packed = _lines(f'{notes}.packed', b'\n')
    names, changed = set(), set()
    linked: dict[bytes, set[bytes]] = collections.defaultdict(set)
    for name, record, inode in _entries(directory, notes):
        names.add(name)
        if inode:
            linked[inode].add(name)
        if not (record in seen and name in packed):
            changed.add(name)
    # A link to a file that did not come again would be another file.
    changed |= {name for same in linked.values() if same & changed
                for name in same}
    # Unpacking has changed the times of these.
    changed |= {_parent(name) for name in changed if name != b'./'}
    with open(f'{notes}.kept', 'xb') as file:
        file.writelines(name + b'\0' for name in names - changed)
        # Directories, which stay with what is in them.
        file.writelines(name + b'/\0' for name in changed & packed
                        if name.endswith(b'/'))
    with open(f'{notes}.changed', 'xb') as file:
        file.writelines(name + b'\0' for name in sorted(changed))


@nova_docker.privsep.moves_pctxt.entrypoint
def pack(directory: str, fifo: str, notes: str) -> None:
    """Write to a FIFO what :func:`compare` has noted, and its archive.

    Errors as of :func:`nova_docker.privsep.archive.pack`.
    """
    with archive.opened(fifo) as descriptor:
        with (open(f'{notes}.kept', 'rb') as kept,
              open(descriptor, 'wb', closefd=False) as file):
            file.write(b'%d\n' % os.fstat(kept.fileno()).st_size)
            shutil.copyfileobj(kept, file)
        archive.create(
            directory, descriptor, '--no-recursion', '--null',
            '--verbatim-files-from', f'--files-from={notes}.changed')


def _parent(name: bytes) -> bytes:
    return os.path.dirname(name.rstrip(b'/')) + b'/'


def _lines(path: str, end: bytes) -> set[bytes]:
    with open(path, 'rb') as file:
        return set(file.read().split(end))


def _entries(directory: str, notes: str
             ) -> collections.abc.Iterator[tuple[bytes, bytes, bytes]]:
    """What is in a directory.

    :returns: names as tar has them, with records, and with the inodes of those
        that are not the only ones of their files
    """
    with open(f'{notes}.found', 'x+b') as file:
        archive.run(_finding(), stdout=file.fileno(), directory=directory)
        file.seek(0)
        for record in file.read().split(b'\0')[:-1]:
            path, _separator, rest = record.partition(b'//')
            kind, links, inode, _rest = rest.split(b' ', 3)
            if kind == b'd':
                yield path + b'/', record, b''
            else:
                yield path, record, b'' if links == b'1' else inode


def _finding(*which: str) -> list[str]:
    return ['find', '.', '-xdev', *which, '-printf', _RECORD]
