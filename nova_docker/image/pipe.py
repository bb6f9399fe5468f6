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

"""A bounded pipe in memory between two threads.

Not os.pipe: under eventlet's monkey patching, which Nova 2026.1 runs on, a
file object of a pipe blocks every green thread.
"""

import collections
import threading


class Abandoned(Exception):
    """The reader has gone; the writer may stop."""


class Stalled(Exception):
    """The writer gave nothing for too long."""


class Pipe:
    """One writer, one reader; each may go at any time.

    It is file-like as far as Nova's ``download(data=...)`` and the archive
    rewriter need.
    """

    def __init__(self, capacity: int, stall: float) -> None:
        """Make an empty pipe.

        :param capacity: bytes after which the writer waits
        :param stall: seconds that the reader waits for more
        """
        self._capacity = capacity
        self._stall = stall
        self._changed = threading.Condition()
        self._chunks: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._finished = False
        self._abandoned = False
        self._error: Exception | None = None

    def write(self, data: bytes) -> int:
        """Add data, once there is room.

        :raises Abandoned: the reader has gone
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._abandoned or self._size < self._capacity)
            if self._abandoned:
                raise Abandoned()
            if data:
                self._chunks.append(bytes(data))
                self._size += len(data)
                self._changed.notify_all()
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Do nothing: what was read cannot be taken back.

        Nova calls it before it raises what :meth:`finish` then passes on.
        """
        return 0

    def finish(self, error: Exception | None = None) -> None:
        """Say that no more comes; the reader gets the error, if any."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def read(self, size: int) -> bytes:
        """At most size bytes; none at the end only.

        An error ends the data at once: what was written before it is lost.

        :raises Stalled: nothing came for the given time
        """
        with self._changed:
            if not self._changed.wait_for(
                    lambda: self._finished or self._chunks, self._stall):
                raise Stalled()
            if self._error is not None:
                raise self._error
            if not self._chunks:
                return b''
            data = self._chunks.popleft()
            if len(data) > size:
                self._chunks.appendleft(data[size:])
                data = data[:size]
            self._size -= len(data)
            self._changed.notify_all()
            return data

    def abandon(self) -> None:
        """Say that nobody will read on (idempotent)."""
        with self._changed:
            self._abandoned = True
            self._chunks.clear()
            self._changed.notify_all()
