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

"""Work on the file system of a root volume that nobody else sees mounted.

A program in a mount namespace of its own: whenever it ends, and by whomever,
nothing of it stays mounted. It imports nothing of ours, and starts in no time.
::

    python -I -S copier.py read DEVICE PLACE
    python -I -S copier.py fill DEVICE PLACE LAYER... < DOCUMENT

The first prints the document of the volume, as far as :data:`LIMIT` and one
byte. The second copies the files of a container to a new file system, from its
layers, the topmost first; the document comes last, so a volume that has it is
whole.

Its exit code is 0 or the number of the error of the system call that failed.
"""

import collections.abc
import contextlib
import ctypes
import os
import stat
import subprocess
import sys

#: Where the files are, and what the driver knows of them.
FILES, WORK, DOCUMENT = 'diff', 'work', 'image.json'
#: What a volume may have that was begun, and has no document: nothing of
#: anybody's.
_BEGUN = frozenset((FILES, WORK, f'{DOCUMENT}.tmp', 'lost+found'))
#: Bytes of the largest document.
LIMIT = 1 << 20
_CLONE_NEWNS = 0x20000
#: Source: include/uapi/linux/mount.h.
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_SAFE = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, path: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)


def _mount(source: str, path: str, kind: str, flags: int,
           options: str) -> None:
    _checked(_libc.mount(
        os.fsencode(source), os.fsencode(path), kind.encode(),
        flags, os.fsencode(options)), path)


@contextlib.contextmanager
def _mounted(source: str, path: str, kind: str, flags: int, options: str
             ) -> collections.abc.Iterator[None]:
    """For the namespace goes a moment after its last process only."""
    _mount(source, path, kind, flags, options)
    try:
        yield
    finally:
        _checked(_libc.umount2(os.fsencode(path), 0), path)


def _read(device: str, place: str) -> None:
    path = os.path.join(place, DOCUMENT)
    # The file system was checked before, so its journal is empty.
    with _mounted(device, place, 'ext4', _SAFE | _MS_RDONLY, 'noload'):
        if not os.path.lexists(path) and set(os.listdir(place)) - _BEGUN:
            sys.exit(f'it has other files, and no {DOCUMENT}')
        if not stat.S_ISREG(os.lstat(path).st_mode):
            sys.exit(f'{DOCUMENT} is not a file')
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), 'rb') as file:
            sys.stdout.buffer.write(file.read(LIMIT + 1))


def _fill(device: str, place: str,
          layers: collections.abc.Sequence[str]) -> None:
    document = sys.stdin.buffer.read()
    with _mounted(device, place, 'ext4', _SAFE, ''):
        _copy(layers, os.path.join(place, WORK), os.path.join(place, FILES))
        os.sync()
        path = os.path.join(place, DOCUMENT)
        with open(f'{path}.tmp', 'xb') as file:
            file.write(document)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f'{path}.tmp', path)


def _copy(layers: collections.abc.Sequence[str], work: str,
          files: str) -> None:
    for path in work, files:
        os.mkdir(path)
    # With their full names, 40 layers are too many for mount(2).
    top = os.path.commonpath(layers)
    os.chdir(top)
    lower = ':'.join(os.path.relpath(layer, top) for layer in layers)
    with _mounted('overlay', work, 'overlay', _SAFE | _MS_RDONLY,
                  f'lowerdir={lower}'):
        os.chdir('/')
        done = subprocess.run(['cp', '--archive', '--', f'{work}/.', files])
    if done.returncode:
        # It has said why.
        sys.exit(1)


def main() -> None:
    """What the arguments say."""
    what, device, place, *layers = sys.argv[1:]
    try:
        _checked(_libc.unshare(_CLONE_NEWNS), 'unshare')
        _mount('none', '/', '', _MS_REC | _MS_PRIVATE, '')
        if what == 'read':
            _read(device, place)
        else:
            _fill(device, place, layers)
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(error.errno)


if __name__ == '__main__':
    main()
