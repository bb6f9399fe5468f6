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

"""Mount a directory of the host inside a running container, or unmount it.

A program of its own, for only a process with one thread may enter a mount
namespace. It imports nothing of ours, so that it starts in no time, and all
that it needs before it enters: after that, files are the container's. ::

    python -I -S mounter.py attach PID CONTAINER SOURCE PATH
    python -I -S mounter.py detach PID CONTAINER DEVICE

DEVICE is a number, as of os.makedev: the device itself may be gone. Its exit
code is 0 or the number of the error of the system call that failed.
"""

import ctypes
import errno
import os
import re
import signal
import sys

#: The same numbers on all architectures that Docker has.
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_OPENAT2 = 428, 429, 437
_AT_FDCWD = -100
_CLONE_NEWNS = 0x20000
_MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_T_EMPTY_PATH = 0x04, 0x40
_OPEN_TREE_CLONE = 1
_RESOLVE_NO_MAGICLINKS = 0x02
_UMOUNT_NOFOLLOW = 8
_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _directory(path: str) -> int:
    """A directory of the container, by no magic link."""
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0,
                                _RESOLVE_NO_MAGICLINKS)
    return _call(_SYS_OPENAT2, ctypes.c_int(_AT_FDCWD), os.fsencode(path),
                 ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))


def _enter(pid: int, container: str) -> list[bytes]:
    """Enter the mount namespace of a container; its root is ours then.

    A pid may be another process's by now, even one of the host: it must be in
    the container's control group, and be there before and after.

    :returns: what it has mounted, by the lines of proc_pid_mountinfo(5)
    """
    process = os.pidfd_open(pid)
    with open(f'/proc/{pid}/mountinfo', 'rb') as mountinfo:
        mounts = list(mountinfo)
    namespace = os.open(f'/proc/{pid}/ns/mnt', os.O_RDONLY | os.O_CLOEXEC)
    with open(f'/proc/{pid}/cgroup', 'rb') as groups:
        if container.encode() not in groups.read():
            raise ProcessLookupError(errno.ESRCH, 'not of the container')
    signal.pidfd_send_signal(process, 0)
    if _libc.setns(namespace, _CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), 'setns')
    return mounts


def _attach(pid: int, container: str, source: str, path: str) -> None:
    device = os.stat(source).st_dev
    tree = _call(_SYS_OPEN_TREE, ctypes.c_int(_AT_FDCWD), os.fsencode(source),
                 ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC))
    _enter(pid, container)
    os.makedirs(path, mode=0o755, exist_ok=True)
    target = _directory(path)
    if os.fstat(target).st_dev != device:
        _call(_SYS_MOVE_MOUNT, ctypes.c_int(tree), b'', ctypes.c_int(target),
              b'', ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH |
                                 _MOVE_MOUNT_T_EMPTY_PATH))


def _detach(pid: int, container: str, device: int) -> None:
    number = b'%d:%d' % (os.major(device), os.minor(device))
    # Not by stat: a file system whose device is gone may not answer. As
    # bytes, for names may have a space to Python alone.
    for line in reversed(_enter(pid, container)):
        fields = line.split(b' ')
        if fields[2] == number:
            path = re.sub(rb'\\(\d{3})',
                          lambda code: bytes([int(code[1], 8)]), fields[4])
            if _libc.umount2(path, _UMOUNT_NOFOLLOW):
                raise OSError(ctypes.get_errno(), 'umount2')


def main() -> None:
    """What the arguments say."""
    what, pid, container, operand, *path = sys.argv[1:]
    try:
        if what == 'attach':
            _attach(int(pid), container, operand, *path)
        else:
            _detach(int(pid), container, int(operand))
    except OSError as error:
        sys.exit(error.errno)


if __name__ == '__main__':
    main()
