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

"""Data on its way to Glance that is checked as a compute host would do it."""

import collections.abc
import contextlib
import threading
import typing

from nova_docker.image import compression
from nova_docker.image import pipe
from nova_docker import osc

#: Bytes that may be sent before they were checked.
_AHEAD = 4 << 20

_Facts = typing.TypeVar('_Facts')


class Aborted(Exception):
    """The body of a request ends here; see :attr:`Checked.error`."""


class Checked(typing.Generic[_Facts]):
    """An iterable, once, of the chunks of an image.

    The check runs in a thread of its own, so that nothing is kept of what it
    reads on. The iteration ends well only after it has passed: a request that
    breaks off instead leaves Glance without an image.
    """

    def __init__(self, chunks: collections.abc.Iterable[bytes],
                 check: collections.abc.Callable[[compression.Source], _Facts]
                 ) -> None:
        """Prepare; nothing is read yet.

        :param check: reads the data and returns what it learnt
        """
        self._chunks = chunks
        self._check = check
        self._begun = False
        #: What the check returned.
        self.facts: _Facts | None = None
        #: Why the iteration was aborted: urllib3 would take some errors of a
        #: body for those of its connection.
        self.error: Exception | None = None

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        """Yield the chunks.

        :raises Aborted: reading or the check failed
        """
        try:
            yield from self._iterate()
        except Exception as exc:
            self.error = self.error or exc
            raise Aborted from exc

    def _iterate(self) -> collections.abc.Iterator[bytes]:
        if self._begun:
            # keystoneauth repeats a request that met a 401 or a broken
            # connection, and would send what is left: nothing.
            raise osc.SourceError('Glance did not take the data at the '
                                  'first attempt; try again')
        self._begun = True
        data = pipe.Pipe(_AHEAD, threading.TIMEOUT_MAX)
        thread = threading.Thread(target=self._run, args=(data,), daemon=True)
        thread.start()
        try:
            with contextlib.suppress(pipe.Abandoned):
                for chunk in self._chunks:
                    data.write(chunk)
                    yield chunk
                data.finish()
                thread.join()
        finally:
            data.finish(pipe.Abandoned())
            thread.join()
        if self.error is not None:
            raise self.error

    def _run(self, data: pipe.Pipe) -> None:
        """Body of the thread."""
        try:
            self.facts = self._check(data)
            while data.read(_AHEAD):
                pass
        except pipe.Abandoned:
            pass
        except Exception as exc:
            self.error = exc
        finally:
            data.abandon()
