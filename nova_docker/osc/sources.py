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

"""Where images come from, named in the manner of skopeo.

https://github.com/containers/image/blob/main/docs/containers-transports.5.md
"""

import collections.abc
import contextlib
import dataclasses
import itertools
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import typing

from nova_docker.engine import errors
from nova_docker.engine import local
from nova_docker import osc
from nova_docker.osc import layout

_CHUNK = 256 << 10
#: Seconds that skopeo has to end after it was told to.
_GRACE = 5
_MESSAGE = re.compile(r'msg="(.*)"')
_ESCAPED = re.compile(r'\\(.)')


@dataclasses.dataclass(frozen=True)
class Source:
    """An open image.

    :ivar chunks: its data, to be read once; none is empty
    :ivar size: bytes of it, None when they are not known
    :ivar rootfs: whether it is a root filesystem, not an image archive
    """

    chunks: collections.abc.Iterator[bytes]
    size: int | None = None
    rootfs: bool = False


@contextlib.contextmanager
def opened(name: str, architecture: str | None = None
           ) -> collections.abc.Iterator[Source]:
    """Open what ``transport:details`` names.

    The first bytes have been read, so most of what can be wrong with a source
    shows here.

    :param architecture: which image of several, in Docker's naming
    :raises SourceError: there is no such transport or no such image
    """
    transport, colon, details = name.partition(':')
    if not colon or not details or transport not in _TRANSPORTS:
        raise osc.SourceError(
            f'{name} is not a source: give docker://REGISTRY/NAME, '
            'docker-daemon:NAME, docker-archive:FILE, oci:DIR, '
            'oci-archive:FILE or rootfs:FILE')
    with _TRANSPORTS[transport](details, architecture) as source:
        chunks = _readable(source.chunks)
        first = next(chunks, b'')
        if not first:
            raise osc.SourceError(f'{name} is empty')
        yield dataclasses.replace(
            source, chunks=itertools.chain([first], chunks),
            rootfs=transport == 'rootfs')


def _readable(chunks: collections.abc.Iterable[bytes]
              ) -> collections.abc.Iterator[bytes]:
    try:
        # An empty chunk would end the body of an HTTP request.
        yield from filter(None, chunks)
    except (errors.EngineError, OSError) as exc:
        raise osc.SourceError(str(exc)) from exc


@contextlib.contextmanager
def _registry(details: str, architecture: str | None
              ) -> collections.abc.Iterator[Source]:
    """An image of a registry, by skopeo and its configuration."""
    if not details.startswith('//'):
        raise osc.SourceError('a registry is docker://REGISTRY/NAME; a '
                              'local engine is docker-daemon:NAME')
    skopeo = shutil.which('skopeo')
    if skopeo is None:
        raise osc.SourceError(
            'docker:// needs the program skopeo, which is not installed; '
            'install it, or pull the image and give docker-daemon:NAME')
    platform = ['--override-os', 'linux']
    if architecture is not None:
        platform += ['--override-arch', architecture]
    with tempfile.TemporaryFile() as log, subprocess.Popen(
            [skopeo, *platform, 'copy', '--quiet', 'docker:' + details,
             'docker-archive:/dev/stdout'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log) as process:
        try:
            yield Source(_output(process, log))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            process.kill()


def _output(process: 'subprocess.Popen[bytes]', log: typing.IO[bytes]
            ) -> collections.abc.Iterator[bytes]:
    """What skopeo writes.

    :raises SourceError: it failed, with its reason
    """
    assert process.stdout is not None
    last = b''
    while chunk := process.stdout.read(_CHUNK):
        if last:
            yield last
        last = chunk
    if process.wait():
        log.seek(0)
        lines = log.read().decode(errors='replace').splitlines()
        reason = lines[-1] if lines else f'exit status {process.returncode}'
        if found := _MESSAGE.search(reason):
            reason = _ESCAPED.sub(r'\1', found.group(1))
        raise osc.SourceError(f'skopeo: {reason}')
    # It ends an archive also when it has nothing to put into it.
    yield last


@contextlib.contextmanager
def _daemon(details: str, architecture: str | None
            ) -> collections.abc.Iterator[Source]:
    """An image of the local Docker Engine."""
    with contextlib.ExitStack() as stack:
        try:
            chunks = stack.enter_context(local.saved(details))
        except errors.EngineError as exc:
            raise osc.SourceError(str(exc)) from exc
        yield Source(chunks)


@contextlib.contextmanager
def _layout(details: str, architecture: str | None
            ) -> collections.abc.Iterator[Source]:
    """A directory, or one with the tag of an image in it."""
    folder, tag = pathlib.Path(details), None
    if not folder.is_dir() and ':' in details:
        name, _, tag = details.rpartition(':')
        folder = pathlib.Path(name)
    found = layout.Layout(folder, tag)
    yield Source(found.chunks(), found.size)


@contextlib.contextmanager
def _file(details: str, architecture: str | None
          ) -> collections.abc.Iterator[Source]:
    """A file, or standard input, whose name is a dash."""
    if details == '-':
        if sys.stdin.isatty():
            raise osc.SourceError('standard input is a terminal')
        yield Source(_contents(sys.stdin.buffer))
        return
    try:
        file = open(details, 'rb')
    except OSError as exc:
        raise osc.SourceError(f'{details}: {exc.strerror}') from exc
    with file:
        status = os.fstat(file.fileno())
        yield Source(_contents(file), status.st_size
                     if stat.S_ISREG(status.st_mode) else None)


def _contents(file: typing.IO[bytes]) -> collections.abc.Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


_TRANSPORTS: dict[str, collections.abc.Callable[
    [str, str | None], contextlib.AbstractContextManager[Source]]] = {
        'docker': _registry, 'docker-daemon': _daemon, 'oci': _layout,
        'docker-archive': _file, 'oci-archive': _file, 'rootfs': _file}
