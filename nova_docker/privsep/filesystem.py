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

"""File systems on block devices that are somebody else's, such as volumes.

What is on them was written by users, who may have written anything. So only
file systems of :data:`KINDS` are mounted, checked first where that can be
done, and nothing on them makes the host run or open what it names. None is
made where there is a single byte that is not zero.
"""

import collections.abc
import contextlib
import functools
import mmap
import os
import struct
import sys

from oslo_concurrency import processutils

import nova_docker.privsep
from nova_docker.privsep import mounter
from nova_docker.privsep import mounts
from nova_docker.privsep import program

#: What mounts each of them, by what blkid calls it.
KINDS = {'ext2': 'ext4', 'ext3': 'ext4', 'ext4': 'ext4', 'xfs': 'xfs'}
#: That of a file system that is made.
MADE = 'ext4'
#: A program, whose end is forced: what is on the device can send it astray.
run = functools.partial(program.run, timeout=600)
_CHUNK = 4 << 20
#: What blkid says: that it found nothing, and that it found too much.
_NOTHING, _AMBIVALENT = 2, 8
#: What e2fsck says when all is well, or now is.
MENDED = [0, 1]
#: For each, what else is said to mount(8): not to end the host for an error,
#: to take copies of each other on one host, and not to write what is shared.
_OPTIONS = {'ext4': 'errors=remount-ro', 'xfs': 'nouuid'}
_READ_ONLY = {'ext4': 'ro,noload', 'xfs': 'ro,norecovery'}
_HAS_JOURNAL = 4


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def probe(device: str) -> dict[str, str]:
    """What is on a device, in the words of blkid(8), such as TYPE.

    :returns: nothing when blkid knows nothing of it
    :raises ValueError: it is several things at once
    :raises OSError: it cannot be read
    :raises oslo_concurrency.processutils.ProcessExecutionError: blkid fails
    """
    with _opened(device, os.O_RDONLY) as descriptor:
        # blkid does not tell this from finding nothing.
        os.pread(descriptor, 1, 0)
    try:
        said = run('blkid', '--probe', '--output', 'export', device)
    except processutils.ProcessExecutionError as error:
        if error.exit_code == _NOTHING:
            return {}
        if error.exit_code == _AMBIVALENT:
            raise ValueError(f'{device} has the signs of several file '
                             'systems') from error
        raise
    return dict(line.split('=', 1) for line in said.splitlines())


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def make(device: str) -> None:
    """Make a file system on a device that has nothing but zeros.

    All of it is read, for that alone proves it.

    :raises FileExistsError: it has something else
    :raises OSError: somebody uses it, or it cannot be read or written
    :raises oslo_concurrency.processutils.ProcessExecutionError: mke2fs fails
    """
    with _opened(device, os.O_RDWR | os.O_EXCL | os.O_DIRECT) as descriptor:
        if not _blank(descriptor):
            raise FileExistsError(f'{device} has data on it')
    # -F is not said: mke2fs refuses a device that is in use since.
    run('mke2fs', '-q', '-t', MADE, '-m', '0', device)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def mount(device: str, directory: str, kind: str, read_only: bool) -> None:
    """Check a file system and mount it (idempotent).

    :param directory: is made where it is not there
    :param kind: a value of :data:`KINDS`
    :param read_only: nothing is written, not even to mend it
    :raises ValueError: it names another device that belongs to it
    :raises OSError: it cannot be mounted
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if os.stat(directory).st_dev == os.stat(device).st_rdev:
        return
    if kind == 'ext4':
        if external_journal(device):
            raise ValueError(f'the journal of {device} is on another device')
        if not read_only:
            run('e2fsck', '-p', device, check_exit_code=MENDED)
    options = ['nosuid', 'nodev', _OPTIONS[kind]]
    if read_only:
        options.append(_READ_ONLY[kind])
    run('mount', '-t', kind, '-o', ','.join(options), device, directory)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def unmount(directory: str) -> None:
    """Unmount a file system and remove its directory, if they are there.

    :raises OSError: it is in use
    """
    # Not by stat: a file system whose device is gone may not answer.
    for path in reversed(mounts.below(os.path.realpath(directory))):
        # Or it would be left in the kernel, and its device in use.
        with contextlib.suppress(OSError):
            mounts.thaw(path)
        mounts.unmount(path)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)
    # That of the instance, where this was the last.
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(directory))


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def attach(pid: int, container: str, directory: str, path: str) -> None:
    """Mount what is mounted on the host in a running container (idempotent).

    :param pid: of a process of the container
    :param container: id of the container
    :param directory: that of :func:`mount`
    :param path: in the container; is made where it is not there
    :raises ProcessLookupError: there is no such process in it
    :raises OSError: it cannot be mounted there
    """
    _mounter('attach', pid, container, directory, path)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def detach(pid: int, container: str, major: int, minor: int) -> None:
    """Unmount the file system of a device in a container, if it is there.

    :param major: of the device, which may be gone, as minor
    :raises ProcessLookupError: there is no such process in it
    :raises OSError: it is in use, by EBUSY
    """
    _mounter('detach', pid, container, str(os.makedev(major, minor)))


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def freeze(directories: collections.abc.Sequence[str]) -> None:
    """Freeze what is mounted at some places, all of it or none.

    :raises OSError: one cannot be frozen
    """
    with contextlib.ExitStack() as undo:
        for directory in directories:
            mounts.freeze(directory)
            undo.callback(mounts.thaw, directory)
        undo.pop_all()


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def thaw(directories: collections.abc.Sequence[str]) -> None:
    """Thaw what is frozen of it; what is not there any more is fine.

    :raises OSError: one cannot be thawed
    """
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            mounts.thaw(directory)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def shut_down(device: str,
              directories: collections.abc.Sequence[str]) -> None:
    """Have the file system of a device write nothing any more, for good.

    :param directories: where it may be mounted; elsewhere it stays as it is
    :raises OSError: it is not there, or its file system can't do that
    """
    for directory in mounts.of([device]):
        if directory in directories:
            mounts.shut_down(directory, device)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def grow(device: str, directory: str, kind: str) -> None:
    """Let a mounted file system have all of its device.

    :raises oslo_concurrency.processutils.ProcessExecutionError: it cannot
    """
    command = (['xfs_growfs', directory] if kind == 'xfs'
               else ['resize2fs', device])
    run(*command)


@contextlib.contextmanager
def _opened(device: str, flags: int) -> collections.abc.Iterator[int]:
    descriptor = os.open(device, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _blank(descriptor: int) -> bool:
    """Whether a device, opened for direct reads, has nothing but zeros."""
    # Such reads need memory that begins with a page.
    with mmap.mmap(-1, _CHUNK) as memory:
        zeros = bytes(_CHUNK)
        while count := os.readv(descriptor, [memory]):
            if memory[:count] != zeros[:count]:
                return False
    return True


def external_journal(device: str) -> bool:
    """Source: https://docs.kernel.org/filesystems/ext4/super.html."""
    with open(device, 'rb') as file:
        file.seek(1024)
        block = file.read(1024)
    compatible, = struct.unpack_from('<I', block, 0x5c)
    journal, = struct.unpack_from('<I', block, 0xe0)
    return bool(compatible & _HAS_JOURNAL) and not journal


def _mounter(what: str, pid: int, container: str, *operands: str) -> None:
    try:
        run(sys.executable, '-I', '-S', mounter.__file__, what, str(pid),
            container, *operands)
    except processutils.ProcessExecutionError as error:
        code = int(error.exit_code or 0)
        raise OSError(code, os.strerror(code), operands[-1]) from error
