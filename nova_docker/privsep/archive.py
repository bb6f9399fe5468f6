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
from nova_docker.privsep import program
from nova_docker.privsep import unpacker

#: What overlay notes of the file that another one was made of. It is another
#: one elsewhere.
_OF_ORIGIN = ('origin', 'impure', 'uuid')
#: What tar says of sockets, which no archive can have. Nobody listens there.
_SOCKETS = '--warning=no-file-ignored'
#: Nothing of the daemon's environment changes what tar does or says.
_ENVIRONMENT = {'LC_ALL': 'C', 'PATH': os.defpath}


@nova_docker.privsep.moves_pctxt.entrypoint
def ready() -> None:
    """Have root's daemon started, which takes seconds, before it is needed.
    """


@nova_docker.privsep.moves_pctxt.entrypoint
def measure(directory: str) -> int:
    """Bytes of the archive of a directory, to which nobody writes.

    :raises NotADirectoryError: it is none, or a link
    :raises oslo_concurrency.processutils.ProcessExecutionError: it can't be
        read
    """
    check(directory)
    # tar does not read files for it.
    done = subprocess.run(
        [*_packing(directory, '/dev/null'), '--totals'], env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    total = re.fullmatch(rb'Total bytes written: ([0-9]+) .*\n', done.stderr)
    _finish(done.returncode, b'' if total else done.stderr or b'nothing')
    return int(total[1]) if total else 0


@nova_docker.privsep.moves_pctxt.entrypoint
def pack(directory: str, fifo: str) -> None:
    """Write the archive of a directory to a FIFO.

    It ends when the reader goes, whoever that was.

    :param fifo: somebody has it open for reading
    :raises NotADirectoryError: the directory is none, or a link
    :raises OSError: there is no such FIFO, or nobody reads it
    :raises oslo_concurrency.processutils.ProcessExecutionError: the directory
        can't be read, or the reader has gone
    """
    descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW |
                         os.O_CLOEXEC)
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, 'not a FIFO', fifo)
        os.set_blocking(descriptor, True)
        # Now that whoever reads sees an end of it, whatever comes.
        check(directory)
        done = subprocess.run(
            _packing(directory, '-'), env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL, stdout=descriptor,
            stderr=subprocess.PIPE)
    finally:
        os.close(descriptor)
    _finish(done.returncode, done.stderr)


@nova_docker.privsep.moves_pctxt.entrypoint
def unpack(file: str, directory: str, caller: int) -> None:
    """Have in a directory what is in an archive. It is on the disk then.

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
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK),
              'rb') as archive:
        if not stat.S_ISREG(os.fstat(archive.fileno()).st_mode):
            raise OSError(errno.EINVAL, 'not a file', file)
        _extract(directory, archive, caller)
    program.run('sync', '--file-system', directory)


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
                _packing(source, '-'), env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors)
        with packing:
            try:
                _extract(target, stdin, caller)
            finally:
                # Or the other would wait for ever to write more.
                stdin.close()
        errors.seek(0)
        _finish(packing.returncode, errors.read())


def check(directory: str) -> None:
    """See that a path is of a directory, and no link to one.

    :raises NotADirectoryError: it is not
    """
    if not stat.S_ISDIR(os.lstat(directory).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, 'not a directory', directory)


def _packing(directory: str, file: str) -> list[str]:
    return ['tar', '--create', f'--file={file}', f'--directory={directory}',
            '--sparse', _SOCKETS, *unpacker.WHOLE,
            *(f'--xattrs-exclude=trusted.overlay.{name}'
              for name in _OF_ORIGIN), '.']


def _extract(directory: str, archive: typing.IO[bytes],
             caller: int) -> None:
    done = subprocess.run(
        [sys.executable, '-I', '-S', unpacker.__file__, directory,
         str(caller)],
        env=_ENVIRONMENT, stdin=archive, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    _finish(done.returncode, done.stderr)


def _finish(code: int, said: bytes) -> None:
    """See that tar had nothing to say.

    That it could not keep an attribute is a warning only, and it succeeds.
    """
    if code or said:
        raise processutils.ProcessExecutionError(
            exit_code=code, stderr=os.fsdecode(said), cmd='tar')
