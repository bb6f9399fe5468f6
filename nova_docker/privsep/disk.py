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

"""Disks of instances: files with a file system, mounted by a loop device.

A loop device goes with the last mount of its file, whoever ends. So there is
nothing to give back but mounts, and the kernel knows all mounts of a file:
that is asked for, and never remembered.
"""

import collections.abc
import contextlib
import errno
import glob
import os
import re
import shutil
import stat
import struct
import tempfile
import typing

import tenacity

import nova_docker.privsep
from nova_docker.privsep import mounts as mounts_
from nova_docker.privsep import program

#: Bytes of a disk that shows whether disks can be made.
_SMALL = 8 << 20
#: What a disk that is no layer has: its top is not for the container.
DATA = 'data'
#: What e2fsck says when all is well, or now is.
_MENDED = [0, 1]
#: Where the superblock of an ext4 is, and its size.
_SUPERBLOCK = 1024
#: Its state without errors and without work in progress.
_SOUND = 1


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def make(image: str, size: int, source: str | None, reserve: bool) -> None:
    """Make a disk, whole or not, unless it is there.

    :param image: path of its file
    :param size: bytes
    :param source: directory whose content it gets
    :param reserve: whether it takes its space on the host now
    :raises OSError: its file cannot be made, or the host has no space
    :raises oslo_concurrency.processutils.ProcessExecutionError: its file
        system cannot be made
    """
    if not os.path.exists(image):
        _make(image, size, source, reserve)


def _make(image: str, size: int, source: str | None = None,
          reserve: bool = False) -> None:
    os.makedirs(os.path.dirname(image), mode=0o700, exist_ok=True)
    temporary = f'{image}.tmp'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(descriptor, size)
        # A new file needs no zeros written, and no block of it is for root
        # alone.
        program.run(
            'mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', '-E',
            'lazy_itable_init=1,lazy_journal_init=1',
            *(['-d', source] if source else []), temporary)
        if reserve:
            os.posix_fallocate(descriptor, 0, size)
        os.fsync(descriptor)
        os.rename(temporary, image)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def attach(image: str, directory: str,
           layer: collections.abc.Sequence[str], size: int,
           discard: bool) -> None:
    """Mount a disk over the directory of a container's writable layer.

    What is under it of the layer goes: a start without the disk then fails,
    where it would write to the host's own file system. The container must not
    run.

    :param layer: names of what is in the directory, and must be a directory
        on the disk as well: a link there leads out to the host's files
    :param size: bytes that it has at least, from now on
    :param discard: whether the host gets back the space of removed files
    :raises NotADirectoryError: it is none on the disk
    :raises OSError: there is no such file or directory
    :raises oslo_concurrency.processutils.ProcessExecutionError: it cannot be
        mounted
    """
    with _mounted(image, size, discard) as seen:
        put_under(seen, directory, layer)


def put_under(seen: str, directory: str,
              layer: collections.abc.Sequence[str]) -> None:
    """Put what is mounted under a writable layer, as :func:`attach` says.

    :param seen: where it is mounted, and nobody else can change it
    :raises NotADirectoryError: it lacks a directory of the layer
    :raises OSError: there is no such directory
    """
    owner = os.lstat(directory)
    for name in layer:
        if not stat.S_ISDIR(os.lstat(os.path.join(seen, name)).st_mode):
            raise NotADirectoryError(f'{name} of the disk is not a directory')
    os.chown(seen, owner.st_uid, owner.st_gid)
    os.chmod(seen, stat.S_IMODE(owner.st_mode))
    for name in layer:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(os.path.join(directory, name))
    mounts_.bind(seen, directory)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def prepare(image: str) -> str:
    """Make the directory of a disk that is mounted for its own sake.

    :returns: the directory, with an empty directory :data:`DATA`
    """
    directory = holder(image)
    os.makedirs(os.path.join(directory, DATA), mode=0o755, exist_ok=True)
    return directory


@contextlib.contextmanager
def _mounted(image: str, size: int, discard: bool
             ) -> collections.abc.Iterator[str]:
    """A disk at a place where nobody else sees it.

    Of itself it can not make the host run or open anything: no programs that
    are setuid, no devices. In a container, its own mount decides.
    """
    place = _place(image)
    _detach(image)
    _repair(image, size)
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o700)
    # Without noinit_itable the kernel writes zeros into the file for hours.
    options = ('loop,nosuid,nodev,noinit_itable'
               + (',discard' if discard else ''))
    program.run('mount', '-t', 'ext4', '-o', options, image, place)
    try:
        yield place
    finally:
        mounts_.unmount(place)
        os.rmdir(place)


def _repair(image: str, size: int) -> None:
    """Check the file system of a disk that nobody uses, and grow it.

    e2fsck reads next to nothing of one that was unmounted cleanly. It mends
    what resize2fs leaves when it is killed. One that was never mounted, or not
    since e2fsck checked it, needs neither.

    :param size: bytes that it has at least
    :raises BlockingIOError: it is to grow, and in use
    """
    superblock = _superblock(image)
    grows = superblock.size < size
    if superblock.clean and not grows:
        return
    if not _released(image):
        if grows:
            raise BlockingIOError(errno.EBUSY, f'{image} cannot grow in use')
        return
    if not superblock.clean:
        program.run('e2fsck', '-p', *(['-f'] if grows else []), image,
                    check_exit_code=_MENDED)
    if grows:
        program.run('resize2fs', image, f'{size >> 10}K')


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def size(image: str) -> int:
    """Bytes of the file system of a disk.

    Not that of the file, which grows before its file system does.

    :raises OSError: there is no such file
    """
    return _superblock(image).size


class _Superblock(typing.NamedTuple):
    """What an ext4 says of itself.

    :ivar size: bytes
    :ivar clean: whether it is sound, and was not mounted since it was made
        or all of it checked
    """

    size: int
    clean: bool


def _superblock(image: str) -> _Superblock:
    """Source: https://docs.kernel.org/filesystems/ext4/super.html."""
    with open(image, 'rb') as file:
        file.seek(_SUPERBLOCK)
        block = file.read(_SUPERBLOCK)
    low, = struct.unpack_from('<I', block, 0x4)
    high, = struct.unpack_from('<I', block, 0x150)
    log_block_size, = struct.unpack_from('<I', block, 0x18)
    mounts, = struct.unpack_from('<H', block, 0x34)
    state, = struct.unpack_from('<H', block, 0x3a)
    return _Superblock((high << 32 | low) << 10 + log_block_size,
                       not mounts and state == _SOUND)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def is_mounted(image: str, size: int = 0) -> bool:
    """Whether a disk is mounted for more than to be looked at.

    :param size: bytes that it must have at least, too
    """
    place = os.path.realpath(_place(image))
    return (any(path != place for path in _mounts(image)) and
            _superblock(image).size >= size)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def remove(image: str) -> None:
    """Unmount a disk and remove its file and what is left of its making.

    :raises OSError: it cannot be removed
    """
    _remove(image)


def _remove(image: str) -> None:
    try:
        _detach(image)
    except OSError:
        # It goes when its last user does.
        for path in reversed(_mounts(image)):
            mounts_.unmount_in_use(path)
    for directory in (_place(image), holder(image)):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)
    for path in (image, f'{image}.tmp'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(image))


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def images(directory: str) -> list[str]:
    """Paths below a directory of disks, of one that is half made too.

    :param directory: has a directory for each instance
    """
    found = {re.sub(r'\.(tmp|mnt|fs)$', '', path)
             for path in glob.glob(os.path.join(
                 glob.escape(directory), '*', '*'))}
    return sorted(found)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def probe(directory: str) -> None:
    """Make a small disk in a directory, mount it, and leave nothing.

    :raises OSError: it cannot be made here
    :raises oslo_concurrency.processutils.ProcessExecutionError: likewise
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    folder = tempfile.mkdtemp(prefix='probe-', dir=directory)
    image = os.path.join(folder, 'image')
    try:
        _make(image, _SMALL)
        with _mounted(image, 0, True):
            pass
    finally:
        _remove(image)


def holder(image: str) -> str:
    """Where a disk is mounted that is no container's layer."""
    return f'{image}.fs'


def _place(image: str) -> str:
    """Where a disk is looked at before anybody else sees it."""
    return f'{image}.mnt'


def _detach(image: str) -> None:
    for path in reversed(_mounts(image)):
        mounts_.unmount(path)


def _released(image: str) -> bool:
    """Whether no loop device has a file; others look at new ones briefly."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_attempt(mounts_.TRIES),
        wait=tenacity.wait_fixed(mounts_.TRY_AFTER),
        retry_error_callback=lambda state: True)
    return not retrying(_devices, image)


def _devices(image: str) -> list[str]:
    """The loop devices of a file, usually one."""
    path = os.path.realpath(image)
    found = []
    for file in glob.glob('/sys/block/loop*/loop/backing_file'):
        # It may end meanwhile.
        with contextlib.suppress(OSError), open(file) as backing:
            if backing.read().rstrip('\n') == path:
                found.append(f'/dev/{file.split("/")[3]}')
    return found


def _mounts(image: str) -> list[str]:
    """Where the loop devices of a file are mounted, in order."""
    return mounts_.of(_devices(image))
