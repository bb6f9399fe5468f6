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

"""Unpack an archive, by tar that sees one directory of this host.

A program in a mount namespace and a root directory of its own: there, tar has
its own files, which it can not write to, and the directory. So no archive,
whatever it has and whatever tar makes of it, reaches anything else; and
whenever the program ends, nothing of it stays mounted. It imports nothing of
ours. ::

    python -I -S unpacker.py DIRECTORY CALLER < ARCHIVE
    python -I -S unpacker.py DIRECTORY CALLER changes < CHANGES

Changes have before their archive a list of what the directory keeps, as
:mod:`nova_docker.privsep.changes` makes it.

It ends with CALLER, the process that wants it: what starts in its place must
not find its files changed by tar. Root's daemon does not see to that: it lives
until all that it does is done.
"""

import ctypes
import os
import select
import shutil
import signal
import stat
import subprocess
import sys

#: Everything that a file has. Of the attributes for security modules, only
#: capabilities are of the file itself: others are of its host. Access lists
#: are taken as attributes: as such, tar writes names of users of this host.
WHOLE = ('--numeric-owner', '--xattrs', '--xattrs-include=user.*',
         '--xattrs-include=trusted.*', '--xattrs-include=security.capability',
         '--xattrs-include=system.posix_acl_*')
#: Where programs and their libraries are.
_PROGRAMS = ('usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64')
_FILES = '/files'
_CLONE_NEWNS = 0x20000
#: Source: include/uapi/linux/mount.h.
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_SAFE = _MS_NOSUID | _MS_NODEV
#: Source: include/uapi/linux/prctl.h.
_PR_SET_PDEATHSIG = 1
#: Bytes of a line that is a number.
_LONGEST = 32
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, path: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)


def _mount(source: str, path: str, kind: str, flags: int) -> None:
    _checked(_libc.mount(
        os.fsencode(source), os.fsencode(path), kind.encode(), flags, None),
        path)


def _bind(source: str, path: str, flags: int) -> None:
    """Have a directory, and nothing that is mounted below it, at a path."""
    os.mkdir(path)
    _mount(source, path, '', _MS_BIND)
    _mount('none', path, '', _MS_REMOUNT | _MS_BIND | _SAFE | flags)


def _enter(directory: str) -> None:
    """Let this process have a root directory with little in it."""
    _checked(_libc.unshare(_CLONE_NEWNS), 'unshare')
    _mount('none', '/', '', _MS_REC | _MS_PRIVATE)
    files = os.open(directory,
                    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    # Any directory will do: nobody else sees that one.
    root = directory
    _mount('none', root, 'tmpfs', _SAFE)
    for name in _PROGRAMS:
        source = f'/{name}'
        if not os.path.lexists(source):
            continue
        if stat.S_ISLNK(os.lstat(source).st_mode):
            os.symlink(os.readlink(source), root + source)
        else:
            _bind(source, root + source, _MS_RDONLY)
    _bind(f'/proc/self/fd/{files}', root + _FILES, 0)
    os.close(files)
    os.chroot(root)
    os.chdir(_FILES)


def _run(program: str, caller: int) -> int:
    """Have tar unpack as long as a process lives, and this one.

    :param caller: file descriptor of the process
    :returns: its status; not 0 where it did not come to its end
    """
    tar = subprocess.Popen(
        ['tar', '--extract', '--file=-', '--preserve-permissions',
         '--same-owner', '--delay-directory-restore',
         '--warning=no-timestamp', *WHOLE], executable=program,
        preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    ended, _, _ = select.select([caller, os.pidfd_open(tar.pid)], [], [])
    if caller in ended:
        tar.kill()
    return tar.wait()


def _kept() -> set[bytes]:
    """The list; what stands after it is left for tar."""
    with open(0, 'rb', buffering=0, closefd=False) as file:
        size = int(file.readline(_LONGEST))
        data = file.read(size)
    if len(data) != size:
        raise ValueError('its list is cut')
    return set(data.split(b'\0'))


def _prune(kept: set[bytes], caller: int) -> None:
    """Remove from this directory all that is not in a list.

    Of the directories that will come again remain the files in them, but none
    of their attributes, as an archive can only add some.

    :param caller: as of :func:`_run`
    """
    directories, gone = [b'.'], []
    while directories:
        if select.select([caller], [], [], 0)[0]:
            raise ValueError('nobody wants it any more')
        directory = directories.pop()
        if directory + b'//' in kept:
            _strip(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    if entry.path not in kept:
                        os.unlink(entry.path)
                    continue
                directories.append(entry.path)
                if not kept & {entry.path + b'/', entry.path + b'//'}:
                    gone.append(entry.path)
    for directory in reversed(gone):
        os.rmdir(directory)


def _strip(path: bytes) -> None:
    for name in os.listxattr(path):
        # Those for security modules are of this host.
        if not name.startswith('security.'):
            os.removexattr(path, name)


def main() -> None:
    """What the arguments say."""
    tar = shutil.which('tar') or 'tar'
    directory, caller, *kind = sys.argv[1:]
    try:
        descriptor = os.pidfd_open(int(caller))
        _enter(directory)
        if kind:
            _prune(_kept(), descriptor)
        status = _run(tar, descriptor)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    sys.exit(status)


if __name__ == '__main__':
    main()
