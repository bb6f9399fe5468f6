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

"""Answers that are read piece by piece: events, logs, progress."""

import collections.abc
import contextlib
import io
import json
import socket
import tarfile
import threading
import typing

import requests

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.engine import transport

#: Bytes that are read at once; a shorter piece is passed on at once.
CHUNK_SIZE = 65536

#: Content type of an output that is not in frames: that of a TTY.
RAW_STREAM = 'application/vnd.docker.raw-stream'

#: Length of the header of a frame of output; its last four bytes are the
#: length of the rest.
_HEADER_SIZE = 8

#: More than the headers of a member of an archive.
_TAR_HEADERS = 1 << 17


def objects(response: requests.Response
            ) -> collections.abc.Iterator[client.Json]:
    """The JSON objects of a streamed answer, one a line."""
    for line in response.iter_lines(CHUNK_SIZE):
        if line:
            yield json.loads(line)


def demultiplexed(chunks: collections.abc.Iterable[bytes]
                  ) -> collections.abc.Iterator[bytes]:
    """The payload of frames of stdout and stderr, in their order.

    Neither frames nor their headers need to keep to the chunks, and a frame
    is not held in memory.
    """
    header = bytearray()
    left = 0
    for chunk in chunks:
        while chunk:
            size = left or _HEADER_SIZE - len(header)
            part, chunk = chunk[:size], chunk[size:]
            if left:
                left -= len(part)
                yield part
                continue
            header += part
            if len(header) == _HEADER_SIZE:
                left = int.from_bytes(header[4:], 'big')
                header.clear()


def tail(chunks: collections.abc.Iterable[bytes], size: int) -> bytes:
    """The last ``size`` bytes; keeps about twice as many in memory."""
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        if len(kept) > 2 * size:
            del kept[:len(kept) - size]
    return bytes(kept[max(len(kept) - size, 0):])


def output(response: requests.Response, size: int) -> bytes:
    """The last bytes of a container's output, whether in frames or not."""
    chunks = typing.cast(collections.abc.Iterator[bytes],
                         response.iter_content(CHUNK_SIZE))
    if response.headers.get('Content-Type') != RAW_STREAM:
        chunks = demultiplexed(chunks)
    return tail(chunks, size)


def file(response: requests.Response, path: str, max_bytes: int
         ) -> client.File | None:
    """The file that is the first member of an archive.

    :returns: None for another kind of member, or one that is larger
    """
    head = bytearray()
    for chunk in response.iter_content(CHUNK_SIZE):
        head += chunk
        if len(head) > max_bytes + _TAR_HEADERS:
            break
    with tarfile.open(fileobj=io.BytesIO(head), mode='r:') as archive:
        member = next(iter(archive))
        if not member.isreg() or member.size > max_bytes:
            return None
        data = typing.cast(typing.IO[bytes], archive.extractfile(member))
        return client.File(path, data.read(), member.uid, member.gid,
                           member.mode)


class SourceFailed(Exception):
    """What the body of a request was read from raised its ``__cause__``."""


def source(chunks: collections.abc.Iterable[bytes]
           ) -> collections.abc.Iterator[bytes]:
    """A request's body whose failure cannot be taken for the engine's.

    urllib3 takes a BrokenPipeError of the body for one of its own socket,
    goes on to read the answer, and waits for ever.

    :raises SourceFailed: the iterable raised
    """
    try:
        yield from chunks
    except Exception as error:
        raise SourceFailed from error


def plain_socket(response: requests.Response) -> socket.socket:
    """The socket of an answer of which only the headers were read."""
    # The way docker-py finds it: urllib3 2.3 is the first to have one.
    body: typing.Any = response.raw
    found: socket.socket = body._fp.fp.raw._sock
    return found


class Image(client.ImageStream):
    """The open answer to GET /images/{name}/get."""

    def __init__(self, response: requests.Response, url: str,
                 release: collections.abc.Callable[[], object]) -> None:
        """Take over an answer of which only the headers were read.

        :param url: the engine's address, for messages
        :param release: closes what the answer came from
        """
        self._response = response
        self._url = url
        self._release = release
        self._socket = plain_socket(response)
        self._pieces = response.iter_content(CHUNK_SIZE)

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        """Yield the archive.

        :raises Unavailable: it was closed, or the engine broke it off
        """
        with transport.translated(self._url):
            for piece in self._pieces:
                yield piece

    def close(self) -> None:
        # The file descriptor stays that of this socket until __exit__. There
        # is no lock that a native thread and eventlet could not share.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *exc_info: object) -> None:
        # A containerd image store keeps an image for a day whose save breaks
        # off, also when it is removed.
        with contextlib.suppress(errors.EngineError):
            for _rest in self:
                pass
        self._response.close()
        self._release()


class Events(client.EventStream):
    """The open answer to GET /events, for one iteration."""

    def __init__(self, response: requests.Response, url: str) -> None:
        """Take over an answer of which only the headers were read.

        :param url: the engine's address, for messages
        """
        self._response = response
        self._url = url
        self._socket = plain_socket(response)
        self._lock = threading.Lock()
        self._reading = False
        self._closed = False

    def __iter__(self) -> collections.abc.Iterator[client.Json]:
        """Yield events until closed.

        :raises Unavailable: the engine went away
        """
        with self._lock:
            if self._closed:
                return
            self._reading = True
        try:
            with transport.translated(self._url):
                yield from objects(self._response)
            if not self._closed:
                raise errors.Unavailable(
                    f'The Docker Engine at {self._url} ended its events')
        except Exception:
            # A socket that is shut down fails its reader in many ways.
            if not self._closed:
                raise
        finally:
            self._response.close()

    def close(self) -> None:
        """End the iteration, also one that is waiting.

        Only the reader may close the answer while it reads: the buffer below
        refuses (eventlet) or blocks (threads) a second user.
        """
        with self._lock:
            self._closed = True
            reading = self._reading
        if reading:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        else:
            self._response.close()
