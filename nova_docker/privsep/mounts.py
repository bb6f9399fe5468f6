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

"""What is mounted on the host, and how that is changed. For root alone."""

import collections.abc
import ctypes
import errno
import fcntl
import os
import re
import struct

import tenacity

_libc = ctypes.CDLL(None, use_errno=True)
#: Source: include/uapi/linux/mount.h.
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_MS_REMOUNT, _MS_BIND = 32, 4096
_MNT_DETACH = 2
#: Source: include/uapi/linux/fs.h.
_FIFREEZE, _FITHAW = 0xc0045877, 0xc0045878
#: Source: XFS_IOC_GOINGDOWN in fs/xfs/libxfs/xfs_fs.h, which ext4 has as
#: well; with XFS_FSOP_GOING_FLAGS_NOLOGFLUSH.
_SHUTDOWN, _NOLOGFLUSH = 0x8004587d, struct.pack('I', 2)
#: How often a mount is tried to be removed that is in use, and the seconds
#: between: whoever looks at all files of a host does so for a moment.
TRIES = 5
TRY_AFTER = 0.2


def of(devices: collections.abc.Iterable[str]) -> list[str]:
    """Where block devices are mounted, in order.

    Source: proc_pid_mountinfo(5).

    :raises OSError: there is no such device
    """
    numbers = {_number(path) for path in devices}
    if not numbers:
        return []
    return [path for number, path in _all() if number in numbers]


def below(directory: str) -> list[str]:
    """Where something is mounted in a directory or at it, in order.

    Without a look at what is mounted, whose storage may not answer.

    :param directory: without links
    """
    return [path for _number, path in _all()
            if path == directory or path.startswith(f'{directory}/')]


def _all() -> list[tuple[str, str]]:
    """The number of the device and the place of each mount, in order."""
    # As bytes: names may have what is no text, or a space to Python alone.
    with open('/proc/self/mountinfo', 'rb') as mountinfo:
        lines = [line.split(b' ') for line in mountinfo]
    return [(line[2].decode(), os.fsdecode(re.sub(
        rb'\\(\d{3})', lambda code: bytes([int(code[1], 8)]), line[4])))
        for line in lines]


def _number(path: str) -> str:
    device = os.stat(path).st_rdev
    return f'{os.major(device)}:{os.minor(device)}'


def bind(seen: str, directory: str) -> None:
    """Mount at a directory what is mounted elsewhere."""
    _checked(_libc.mount(os.fsencode(seen), os.fsencode(directory), None,
                         _MS_BIND, None), directory)


def set_read_only(path: str, read_only: bool) -> None:
    """Have one mount of a file system be read only, or not.

    It stays one without devices and programs that are setuid.

    :raises OSError: nothing is mounted there
    """
    flags = _MS_REMOUNT | _MS_BIND | _MS_NOSUID | _MS_NODEV
    _checked(_libc.mount(None, os.fsencode(path), None,
                         flags | (_MS_RDONLY if read_only else 0), None),
             path)


def freeze(path: str) -> None:
    """Have a file system be sound on its device, and stay so (idempotent).

    Whoever writes to it waits.

    :raises OSError: nothing is mounted there, or it can't be frozen
    """
    _control(path, _FIFREEZE, errno.EBUSY)


def thaw(path: str) -> None:
    """Let a file system be written again, if it is frozen.

    :raises OSError: nothing is mounted there
    """
    _control(path, _FITHAW, errno.EINVAL)


def shut_down(path: str, device: str) -> None:
    """Have the file system of a device write nothing any more.

    What is not on it yet is lost, and all use of it fails.

    :param path: where it is mounted, as is seen first: what is there else
        may be the file system of the host
    :raises OSError: it can't be
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_dev == os.stat(device).st_rdev:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NOLOGFLUSH)
    finally:
        os.close(descriptor)


def _control(path: str, request: int, done: int) -> None:
    """Ask a file system for something, unless its error says it is done."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, request, 0)
    except OSError as error:
        if error.errno != done:
            raise
    finally:
        os.close(descriptor)


def unmount(path: str) -> None:
    """Unmount, unless it is in use for longer.

    :raises OSError: it is, by EBUSY
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(OSError),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_fixed(TRY_AFTER), reraise=True)
    retrying(_umount, path)


def unmount_in_use(path: str) -> None:
    """Unmount for all who come; it goes when its last user does."""
    _umount(path, _MNT_DETACH)


def _umount(path: str, flags: int = 0) -> None:
    _checked(_libc.umount2(os.fsencode(path), flags), path)


def _checked(result: int, path: str) -> None:
    """Raise what a call of the C library left as its error."""
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
