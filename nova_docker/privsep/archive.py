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

"""The files of a directory as an archive of GNU tar, whole.

They are the writable layer of a server, as the kernel keeps it in the upper
directory of an overlay: what was removed is a character device with the
number 0, and the attributes ``trusted.overlay.*`` tell of directories. So
owners, attributes, links, holes and device nodes are kept.

A tenant has chosen their names and content, and what is on another host may be
worse. It is unpacked by a program that sees nothing else of this host: see
:mod:`nova_docker.privsep.unpacker`.
"""

import collections.abc
import contextlib
import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
import typing

from oslo_concurrency import processutils

import nova_docker.privsep
from nova_docker.privsep import unpacker

#: What overlay notes of the file that another one was made of. It is another
#: one elsewhere.
_OF_ORIGIN = ('origin', 'impure', 'uuid')
#: What tar says of sockets, which no archive can have. Nobody listens there.
_SOCKETS = '--warning=no-file-ignored'
#: What it says, and ends with 1 for, where files are written to.
_IN_USE = ('--warning=no-file-changed', '--warning=no-file-removed',
           '--warning=no-file-shrank')
#: And what it can't be kept from saying, of a file or an attribute that goes.
_GOES = re.compile(rb'^tar: .*: Warning: Cannot l[a-z]+xattrat: '
                   rb'No (such file or directory|data available)\n', re.M)
#: Nothing of the daemon's environment changes what tar does or says.
_ENVIRONMENT = {'LC_ALL': 'C', 'PATH': os.defpath}


@nova_docker.privsep.moves_pctxt.entrypoint
def ready() -> None:
    """Have root's daemon started, which takes seconds, before it is needed.
    """


@nova_docker.privsep.moves_pctxt.entrypoint
def pack(directory: str, fifo: str) -> None:
    """Write the archive of a directory to a FIFO.

    Nobody writes there. It ends when the reader goes, whoever that was.

    :param fifo: somebody has it open for reading
    :raises NotADirectoryError: the directory is none, or a link
    :raises OSError: there is no such FIFO, or nobody reads it
    :raises oslo_concurrency.processutils.ProcessExecutionError: the directory
        can't be read, or the reader has gone
    """
    with opened(fifo) as descriptor:
        create(directory, descriptor, '.')


@nova_docker.privsep.moves_pctxt.entrypoint
def unpack(file: str, directory: str, caller: int) -> None:
    """Have in a directory what is in an archive.

    :param file: path of the archive
    :param directory: an empty one
    :param caller: the process that wants it; without it, this ends
    :raises NotADirectoryError: it is none, or a link
    :raises OSError: it is not empty, or the archive is no file
    :raises oslo_concurrency.processutils.ProcessExecutionError: the archive is
        damaged, or something of it can't be made, as where the disk is full
    """
    check(directory)
    if os.listdir(directory):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), directory)
    extract(file, directory, caller)


def copy(source: str, target: str, caller: int) -> None:
    """Unpack the archive of one directory into another one, an empty one.

    :param caller: as of :func:`unpack`
    :raises oslo_concurrency.processutils.ProcessExecutionError: something
        can't be read or written
    """
    # One of subprocess would not block under eventlet, also for tar.
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as errors, open(reading, 'rb') as stdin:
        with open(writing, 'wb') as stdout:
            packing = subprocess.Popen(
                _packing(source, '.'), env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors)
        with packing:
            try:
                _extract(target, stdin, caller)
            finally:
                # Or the other would wait for ever to write more.
                stdin.close()
        errors.seek(0)
        _finish('tar', packing.returncode, errors.read())


def check(directory: str) -> None:
    """See that a path is of a directory, and no link to one.

    :raises NotADirectoryError: it is not
    """
    if not stat.S_ISDIR(os.lstat(directory).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, 'not a directory', directory)


@contextlib.contextmanager
def opened(fifo: str) -> collections.abc.Iterator[int]:
    """A FIFO that somebody reads, who sees an end of it whatever comes.

    :raises OSError: there is no such FIFO, or nobody reads it
    """
    descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW |
                         os.O_CLOEXEC)
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, 'not a FIFO', fifo)
        os.set_blocking(descriptor, True)
        yield descriptor
    finally:
        os.close(descriptor)


def create(directory: str, descriptor: int, *what: str,
           in_use: bool = False) -> None:
    """Write an archive of files in a directory.

    :param what: paths, and options for them
    :param in_use: whether others write there; then not all is as it was
    """
    check(directory)
    if in_use:
        run(_packing(directory, *_IN_USE, *what), stdout=descriptor,
            codes=(0, 1), expected=_GOES)
    else:
        run(_packing(directory, *what), stdout=descriptor)


def extract(file: str, directory: str, caller: int, *kind: str) -> None:
    """Have files in a directory that are in an archive.

    :param caller: as of :func:`unpack`
    :param kind: as of :mod:`nova_docker.privsep.unpacker`
    """
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK),
              'rb') as archive:
        if not stat.S_ISREG(os.fstat(archive.fileno()).st_mode):
            raise OSError(errno.EINVAL, 'not a file', file)
        _extract(directory, archive, caller, *kind)


def _packing(directory: str, *what: str) -> list[str]:
    return ['tar', '--create', '--file=-', f'--directory={directory}',
            '--sparse', _SOCKETS, *unpacker.WHOLE,
            *(f'--xattrs-exclude=trusted.overlay.{name}'
              for name in _OF_ORIGIN), *what]


def _extract(directory: str, archive: typing.IO[bytes], caller: int,
             *kind: str) -> None:
    run([sys.executable, '-I', '-S', unpacker.__file__, directory,
         str(caller), *kind], stdin=archive.fileno())


def run(command: list[str], stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL, directory: str | None = None,
        codes: collections.abc.Container[int] = (0,),
        expected: re.Pattern[bytes] | None = None) -> None:
    """Run a program that is to have nothing to say.

    :param directory: it starts there
    :param codes: how it may end
    :param expected: what it may say
    """
    done = subprocess.run(
        command, env=_ENVIRONMENT, stdin=stdin, stdout=stdout,
        stderr=subprocess.PIPE, cwd=directory)
    said = expected.sub(b'', done.stderr) if expected else done.stderr
    _finish(command[0], done.returncode, said, codes)


def _finish(name: str, code: int, said: bytes,
            codes: collections.abc.Container[int] = (0,)) -> None:
    """See that a program has succeeded, without a word.

    That it could not keep an attribute is a warning of tar only.
    """
    if code not in codes or said:
        raise processutils.ProcessExecutionError(
            exit_code=code, stderr=os.fsdecode(said), cmd=name)
