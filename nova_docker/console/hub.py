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

"""The console of one instance: its terminal, and all who look at it.

There is a terminal as long as somebody looks, and it is read without delay.
When it ends, as the instance is rebooted, rescued or stopped, its viewers
stay, and see the next one. All is done on the loop's thread, but what asks
the engine: that is handed to another one.
"""

import collections.abc
import contextlib
import dataclasses

from oslo_log import log as logging

from nova_docker.console import loop
from nova_docker.console import picture
from nova_docker.console import replay
from nova_docker.console import viewer
from nova_docker.engine import client
from nova_docker.engine import errors

LOG = logging.getLogger(__name__)

#: Bytes that are shown again to those who come later.
HISTORY = 1 << 16
#: Bytes that are read at once.
_READ = 1 << 16
#: Typed bytes that wait for the terminal; others are lost, as on a line.
_MOST_TYPED = 1 << 18
#: Viewers of one instance.
MOST_VIEWERS = 32
#: Seconds before a terminal is asked for again, doubled each time, until one
#: lasts for some.
_FIRST_RETRY, _LAST_RETRY, _LASTS = 0.25, 4.0, 5.0
#: Seconds after which it has the size that was last asked for.
_SETTLES = 0.05
_ROWS, _COLUMNS = 24, 80
_LEAST, _MOST_ROWS, _MOST_COLUMNS = 4, 120, 320

WAITING = b'\r\n\x1b[0m[console: waiting for the server to run]\r\n'

Opened = tuple[client.Terminal, bytes]
Submit = collections.abc.Callable[[collections.abc.Callable[[], object]],
                                  None]


@dataclasses.dataclass(frozen=True)
class Source:
    """How to get at the terminals of instances. They may block.

    :ivar open: opens the one of an instance, and says what that has shown
        before; None when it has none now. May raise EngineError
    :ivar close: closes it, and ends what was executed for it
    """
    open: collections.abc.Callable[[str], Opened | None]
    close: collections.abc.Callable[[client.Terminal], object]


class Hub:
    """The console of one instance.

    :ivar title: what its picture is called
    """

    def __init__(self, instance: str, loop: loop.Loop, submit: Submit,
                 source: Source,
                 on_empty: collections.abc.Callable[[], object]) -> None:
        """:param submit: has a function called where it may block
        :param on_empty: called when the last viewer has left
        """
        self.title = f'instance {instance}'
        self.rows, self.columns = _ROWS, _COLUMNS
        self._instance = instance
        self._loop = loop
        self._submit = submit
        self._source = source
        self._on_empty = on_empty
        self._viewers: list[viewer.Viewer] = []
        self._terminal: client.Terminal | None = None
        self._is_opening = self._is_retried = False
        self._retry = _FIRST_RETRY
        self._size_wanted: tuple[int, int] | None = None
        self._is_told = False
        self._history = b''
        self._typed = bytearray()
        self._picture: picture.Picture | None = None

    @property
    def viewers(self) -> int:
        """How many look at it."""
        return len(self._viewers)

    def history(self, size: int = HISTORY) -> bytes:
        return replay.unasked(replay.last(self._history, size))

    def join(self, viewer: viewer.Viewer) -> None:
        """Show it to one more, unless he has gone already."""
        if viewer.is_closed:
            return
        self._viewers.append(viewer)
        viewer.shown(self._past())
        self._open()

    def leave(self, viewer: viewer.Viewer) -> None:
        with contextlib.suppress(ValueError):
            self._viewers.remove(viewer)
        if self._picture and not self._picture.viewers:
            self._picture = None
        if not self._viewers:
            self._let_go()
            self._on_empty()

    def close(self) -> None:
        """Send everybody away."""
        for each in list(self._viewers):
            each.close()

    # What viewers do.

    def typed(self, data: bytes) -> None:
        if len(self._typed) + len(data) <= _MOST_TYPED:
            self._typed += data
            self._type()

    def resize(self, rows: int, columns: int) -> None:
        if self._size_wanted is None:
            # It is work for all: a viewer may ask as often as he likes.
            self._loop.later(_SETTLES, self._resize)
        self._size_wanted = (max(_LEAST, min(rows, _MOST_ROWS)),
                             max(_LEAST, min(columns, _MOST_COLUMNS)))

    def _resize(self) -> None:
        assert self._size_wanted
        before = self.rows, self.columns
        (self.rows, self.columns), self._size_wanted = self._size_wanted, None
        if self._picture:
            self._picture.resize(self.rows, self.columns)
        if self._terminal and (self.rows, self.columns) != before:
            self._submit(self._resizer(self._terminal))

    def _resizer(self, terminal: client.Terminal, more: int = 0
                 ) -> collections.abc.Callable[[], object]:
        def resize() -> None:
            # By then, it may have ended or been resized again.
            with contextlib.suppress(errors.EngineError):
                terminal.resize(self.rows + more, self.columns)
        return resize

    # The terminal.

    def fileno(self) -> int:
        return self._terminal.fileno() if self._terminal else -1

    def ready(self, readable: bool, writable: bool) -> bool:
        if writable:
            self._type()
        terminal = self._terminal
        if not readable or terminal is None:
            return False
        output = terminal.recv(_READ)
        if output == b'':
            self._lost()
        elif output:
            self._show(output)
        return self._terminal is not None and terminal.pending()

    def failed(self) -> None:
        self._lost()

    def _open(self) -> None:
        """Have a terminal, unless it is cared for."""
        if self._terminal or self._is_opening or self._is_retried:
            return
        self._is_opening = True

        def work() -> None:
            try:
                opened = self._source.open(self._instance)
            except errors.EngineError as error:
                LOG.debug('No terminal of instance %s: %s', self._instance,
                          error)
                opened = None
            except Exception:
                LOG.exception('No terminal of instance %s', self._instance)
                opened = None
            self._loop.call(lambda: self._opened(opened))

        self._submit(work)

    def _opened(self, opened: Opened | None) -> None:
        self._is_opening = False
        if opened is None:
            self._try_again()
            return
        terminal, before = opened
        if not self._viewers:
            self._submit(lambda: self._source.close(terminal))
            return
        self._terminal = terminal
        self._is_told = False
        self._loop.later(_LASTS, lambda: self._lasts(terminal))
        # Only another size has programs draw again what no log has.
        self._submit(self._resizer(terminal, more=1))
        self._submit(self._resizer(terminal))
        self._show(replay.unseen(self._history, before), before=True)
        self._type()

    def _try_again(self) -> None:
        if self._viewers and not self._is_told:
            self._is_told = True
            self._notice(WAITING)
        self._later()

    def _later(self) -> None:
        self._is_retried = True
        self._loop.later(self._retry, self._open_again)
        self._retry = min(2 * self._retry, _LAST_RETRY)

    def _open_again(self) -> None:
        self._is_retried = False
        if self._viewers:
            self._open()

    def _lasts(self, terminal: client.Terminal) -> None:
        # One that ends at once is not asked for again and again.
        if terminal is self._terminal:
            self._retry = _FIRST_RETRY

    def _lost(self) -> None:
        self._let_go()
        self._later()

    def _let_go(self) -> None:
        terminal = self._terminal
        self._typed.clear()
        if terminal:
            self._loop.forget(self)
            self._terminal = None
            self._submit(lambda: self._source.close(terminal))

    def _type(self) -> None:
        if self._terminal is None:
            return
        if self._typed:
            del self._typed[:self._terminal.send(bytes(self._typed))]
        self._loop.watch(self, write=bool(self._typed))

    # What is shown.

    def _past(self) -> bytes:
        return self.history() + (WAITING if self._is_told else b'')

    @property
    def picture(self) -> picture.Picture:
        """Its picture, for which there may be viewers."""
        if self._picture is None:
            self._picture = picture.Picture(
                self._loop, self.rows, self.columns, self._answer)
            self._picture.replay(self._past())
        return self._picture

    def _answerer(self) -> viewer.Viewer | None:
        """Whose terminal answers to a program's questions: one, not all."""
        return next((each for each in self._viewers
                     if isinstance(each, viewer.Serial)), None)

    def _answer(self, data: bytes) -> None:
        if self._answerer() is None:
            self.typed(data)

    def _show(self, output: bytes, before: bool = False) -> None:
        """:param before: whether it is from before there was a terminal"""
        self._history = replay.last(self._history + output, HISTORY)
        self._notice(output, before)

    def _notice(self, output: bytes, before: bool = True) -> None:
        """Show what is no part of the history."""
        answerer = None if before else self._answerer()
        unasked = replay.unasked(output)
        for each in list(self._viewers):
            each.shown(output if each is answerer else unasked)
        if self._picture and before:
            self._picture.replay(output)
        elif self._picture:
            self._picture.show(output)
