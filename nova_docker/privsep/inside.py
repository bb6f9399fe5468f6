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

"""Files of a container that runs, whose guest may be hostile.

Paths are resolved by openat2(2) with the container's root as the root and
without magic links, so that no link or race of the guest leads out of it. What
is no regular file is never opened, and no file is written to: another one
takes its name.
"""

import collections.abc
import contextlib
import ctypes
import errno
import os
import secrets
import signal
import stat

import nova_docker.privsep

#: The same number on all architectures that Docker has.
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [('flags', ctypes.c_uint64), ('mode', ctypes.c_uint64),
                ('resolve', ctypes.c_uint64)]


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def read(pid: int, container: str, directory: str, name: str,
         max_bytes: int) -> bytes:
    """A regular file in a directory of a container.

    :param pid: of a process of the container, best its first
    :param container: id of the container
    :raises ProcessLookupError: there is no such process in it
    :raises ValueError: it is something else, or larger than max_bytes
    :raises OSError: it cannot be read
    """
    with (open_directory(pid, container, directory) as folder,
          _file(folder, name) as file):
        return _content(file, max_bytes)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def replace(pid: int, container: str, directory: str, name: str, old: bytes,
            new: bytes) -> bool:
    """Give a file that was read another content, at once for its readers.

    The new file has the owner, mode and extended attributes of the old one.

    :returns: False where it is not what was read any more
    :raises ProcessLookupError, ValueError, OSError: as :func:`read`
    """
    with (open_directory(pid, container, directory) as folder,
          _file(folder, name) as file):
        if os.fstat(file).st_size != len(old) or (
                _content(file, len(old)) != old):
            return False
        temporary = f'.{name}.{secrets.token_hex(8)}'
        with _closing(os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o600, dir_fd=folder)) as copy:
            try:
                _copy_attributes(file, copy)
                with open(copy, 'wb', closefd=False) as writer:
                    writer.write(new)
                os.fsync(copy)
                os.rename(temporary, name, src_dir_fd=folder,
                          dst_dir_fd=folder)
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                raise
    return True


@contextlib.contextmanager
def _closing(descriptor: int) -> collections.abc.Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check_member(pid: int, container: str) -> None:
    """:raises ProcessLookupError: a process is in no such container"""
    with open(f'/proc/{pid}/cgroup', encoding='utf-8') as groups:
        if container not in groups.read():
            raise ProcessLookupError(
                errno.ESRCH, f'{pid} is no process of {container}')


@contextlib.contextmanager
def open_directory(pid: int, container: str, path: str
                   ) -> collections.abc.Iterator[int]:
    """A descriptor of a directory of a container.

    A pid may be another process's by now, even one of the host: it must be in
    the container's control group, and be there before and after.
    """
    with (_closing(os.pidfd_open(pid)) as process,
          _closing(os.open(f'/proc/{pid}/root', os.O_PATH | os.O_DIRECTORY |
                           os.O_CLOEXEC)) as root):
        check_member(pid, container)
        signal.pidfd_send_signal(process, 0)
        how = _OpenHow(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0,
                       _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
        found = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(root), path.encode(),
            ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
        if found < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
        with _closing(found) as folder:
            yield folder


@contextlib.contextmanager
def _file(folder: int, name: str) -> collections.abc.Iterator[int]:
    """A descriptor of a regular file, to read from."""
    with _closing(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC,
                          dir_fd=folder)) as entry:
        if not stat.S_ISREG(os.fstat(entry).st_mode):
            raise ValueError(f'{name} is not a regular file')
        # O_NONBLOCK: the guest may have a lease on it.
        with _closing(os.open(f'/proc/self/fd/{entry}', os.O_RDONLY |
                              os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            yield file


def _content(file: int, max_bytes: int) -> bytes:
    with open(file, 'rb', closefd=False) as reader:
        data = reader.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f'it has more than {max_bytes} bytes')
    return data


def _copy_attributes(source: int, target: int) -> None:
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))
