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

"""Block devices of the host, and their nodes in containers that run.

The guest may be hostile: what has the name of a node is looked at before it is
changed, and never by a path that the guest could have led elsewhere.
"""

import collections.abc
import contextlib
import errno
import fcntl
import os
import stat
import struct

import tenacity

import nova_docker.privsep
from nova_docker.privsep import cgroup
from nova_docker.privsep import inside
from nova_docker.privsep import mounts

#: Makes a block device read only, or not. Source: include/uapi/linux/fs.h.
_BLKROSET = 0x125d
_DIRECTORY = '/dev'
_CHUNK = 4 << 20


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def find(path: str) -> tuple[str, int, int]:
    """A block device of the host: its path without links, and its number.

    :raises ValueError: it is something else
    :raises OSError: it is not there
    """
    path = os.path.realpath(path)
    status = os.stat(path)
    if not stat.S_ISBLK(status.st_mode):
        raise ValueError(f'{path} is not a block device')
    return path, os.major(status.st_rdev), os.minor(status.st_rdev)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def claim(path: str, read_only: bool) -> None:
    """See that the host does not use a block device.

    :raises OSError: EBUSY, it is mounted, or part of another device
    """
    mode = os.O_RDONLY if read_only else os.O_RDWR

    # What had it mounted may just have ended.
    @tenacity.retry(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, OSError) and
            error.errno == errno.EBUSY),
        stop=tenacity.stop_after_attempt(mounts.TRIES),
        wait=tenacity.wait_fixed(mounts.TRY_AFTER), reraise=True)
    def attempt() -> int:
        return os.open(path, mode | os.O_EXCL | os.O_CLOEXEC)

    os.close(attempt())


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def set_read_only(path: str, read_only: bool) -> None:
    """Have a block device refuse to be written to, whoever asks, or not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _BLKROSET, struct.pack('i', read_only))
    finally:
        os.close(descriptor)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def copy(source: str, target: str, offset: int, length: int) -> None:
    """Copy a piece of a block device to the same place of another one.

    It is on the device when this returns. The host uses neither of them.

    :param offset: bytes, with length within both
    :raises OSError: it does, or they cannot be read or written
    """
    with (_exclusive(source, os.O_RDONLY) as reader,
          _exclusive(target, os.O_RDWR) as writer):
        end = offset + length
        while offset < end:
            # Not by os.read and os.write, with which eventlet takes a
            # device for a socket.
            piece = os.pread(reader, min(end - offset, _CHUNK), offset)
            if not piece:
                raise OSError(errno.EIO, 'ends early', source)
            offset += os.pwrite(writer, piece, offset)
        os.fsync(writer)
        for descriptor in reader, writer:
            # It would push out what others read.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _exclusive(path: str, mode: int) -> collections.abc.Iterator[int]:
    descriptor = os.open(path, mode | os.O_EXCL | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def give(pid: int, container: str, name: str, major: int, minor: int,
         access: str, mode: int, group: int) -> None:
    """Give a container that runs a block device (idempotent).

    :param pid: of its first process
    :param container: its id
    :param name: of the node in its /dev
    :param access: as of nova_docker.privsep.cgroup.change
    :raises FileExistsError: it has something else under that name
    :raises OSError: it has ended, or the host can not do that
    """
    _give(pid, container, name, major, minor, access, mode, group)


def _give(pid: int, container: str, name: str, major: int, minor: int,
          access: str, mode: int, group: int) -> None:
    cgroup.change(pid, container, major, minor, access)
    try:
        _make(pid, container, name, os.makedev(major, minor), mode, group)
    except BaseException:
        cgroup.change(pid, container, major, minor, '')
        raise


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def take(pid: int, container: str, name: str, major: int, minor: int,
         access: str, mode: int, group: int) -> list[str]:
    """Take a block device from a container that runs (idempotent).

    The arguments are those of :func:`give`.

    :returns: the processes that have it open, and then it is as it was
    :raises OSError: the container has ended, or the host can not do that
    """
    number = os.makedev(major, minor)
    with contextlib.ExitStack() as undo:
        undo.callback(_give, pid, container, name, major, minor, access, mode,
                      group)
        cgroup.change(pid, container, major, minor, '')
        # From now on nobody opens it.
        with inside.open_directory(pid, container, _DIRECTORY) as folder:
            if _is_node(folder, name, number):
                os.unlink(name, dir_fd=folder)
        users = [found for process in cgroup.processes(pid, container)
                 if (found := _user(process, number))]
        if not users:
            undo.pop_all()
    return users


def _make(pid: int, container: str, name: str, number: int, mode: int,
          group: int) -> None:
    with inside.open_directory(pid, container, _DIRECTORY) as folder:
        with contextlib.suppress(FileExistsError):
            os.mknod(name, stat.S_IFBLK | 0o600, number, dir_fd=folder)
        node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC,
                       dir_fd=folder)
        try:
            status = os.fstat(node)
            if (not stat.S_ISBLK(status.st_mode) or
                    status.st_rdev != number):
                raise FileExistsError(
                    errno.EEXIST, 'the server has something else there',
                    f'{_DIRECTORY}/{name}')
            os.chown(f'/proc/self/fd/{node}', 0, group)
            os.chmod(f'/proc/self/fd/{node}', mode)
        finally:
            os.close(node)


def _is_node(folder: int, name: str, number: int) -> bool:
    """Whether a name in a directory is the node of a block device."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISBLK(status.st_mode) and status.st_rdev == number


def _user(pid: int, number: int) -> str | None:
    """A process that has a block device open, as its server calls it."""
    try:
        names = os.listdir(f'/proc/{pid}/fd')
        for name in names:
            # It may be closed meanwhile.
            with contextlib.suppress(OSError):
                status = os.stat(f'/proc/{pid}/fd/{name}')
                if (stat.S_ISBLK(status.st_mode) and
                        status.st_rdev == number):
                    return _name(pid)
    except (FileNotFoundError, ProcessLookupError):
        # It has ended.
        pass
    return None


def _name(pid: int) -> str:
    """The name of a process, and its number in its own namespace."""
    with open(f'/proc/{pid}/status', encoding='utf-8',
              errors='replace') as status:
        values = dict(line.rstrip('\n').split(':\t', 1) for line in status)
    return f'{values["Name"]} ({values["NSpid"].split()[-1]})'
