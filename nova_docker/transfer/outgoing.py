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

"""What goes from this host."""

import collections.abc
import contextlib
import dataclasses
import functools
import os
import time
import typing

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils
from oslo_log import log as logging
from oslo_utils import units

from nova_docker.privsep import archive
from nova_docker.privsep import changes
from nova_docker.privsep import layer
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.transfer import program
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)

#: Seconds for a program to be ready.
_READY = 60
#: Bytes of a part, by the disk that it takes, from which on it goes in two
#: passes.
_LARGE = 64 * units.Mi


#: Directories, with all that is in them, by names as
#: nova_docker.transfer.spool.NAME.
Parts = collections.abc.Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Sent:
    """What went to another host, and is on its disk.

    :ivar parts: by name, the bytes of each
    :ivar wire: bytes that went over the network
    """
    parts: dict[str, int]
    wire: int


class Transfer:
    """What goes to a host that waits for it.

    :ivar ahead: names of the parts that are there as they were a while ago
    :param sizes: by the name of a part, the bytes that there must be room for
    :param sender: it is connected to that host
    """

    def __init__(self, host: str, uuid: str, sizes: dict[str, int],
                 sender: program.Program, fifo: str, timeout: int) -> None:
        self._host = host
        self._uuid = uuid
        self._sizes = sizes
        self._sender = sender
        self._fifo = fifo
        self._timeout = timeout
        self.ahead: set[str] = set()

    def send_ahead(self, parts: Parts) -> None:
        """Send those that are large, to which their server may write."""
        for name, directory in parts.items():
            if self._sizes[name] >= _LARGE:
                notes = self._notes(name)
                changes.survey(directory, notes)
                self._send(name, changes.pack_first, directory, self._fifo,
                           notes)
                self.ahead.add(name)

    def finish(self, parts: Parts) -> Sent:
        """Send what is not there as it is now; nobody writes to it any more.

        :raises nova.exception.MigrationError: says why it failed
        """
        start = time.monotonic()
        with _reported(self._host):
            for name, directory in parts.items():
                if name in self.ahead:
                    notes = self._notes(name)
                    changes.compare(directory, notes)
                    self._send(f'{name}{spool.CHANGES}', changes.pack,
                               directory, self._fifo, notes)
                else:
                    self._send(name, archive.pack, directory, self._fifo)
            self._sender.tell()
            done = self._sender.hear('done')
        sent = Sent({name: part['size'] for name, part in
                     done['done'].items()}, done['wire'])
        LOG.info('Sent %(parts)s of instance %(uuid)s to %(host)s: %(size)d '
                 'bytes, the last of them in %(seconds).1f seconds', {
                     'parts': ', '.join(sent.parts), 'uuid': self._uuid,
                     'host': self._host, 'size': sent.wire,
                     'seconds': time.monotonic() - start})
        return sent

    def send_text(self, name: str, text: str) -> None:
        """Send a part that is a few words.

        :raises nova.exception.MigrationError: says why it failed
        """
        path = self._notes(name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        self.send_file(name, path)

    def send_file(self, name: str, path: str) -> None:
        """Send a part that is a file of the user of nova-compute, as it is.

        :raises nova.exception.MigrationError: says why it failed
        """
        with _reported(self._host):
            self._send_part(name, lambda: None, size=os.path.getsize(path),
                            path=path)

    def _notes(self, name: str) -> str:
        """Where what is noted of a part is; it goes with the FIFO."""
        return os.path.join(os.path.dirname(self._fifo), name)

    def _send(self, name: str, pack: collections.abc.Callable[..., None],
              *arguments: str) -> None:
        self._send_part(name, functools.partial(pack, *arguments),
                        size=self._sizes.get(name, 0))

    def _send_part(self, name: str, pack: collections.abc.Callable[[], None],
                   **what: typing.Any) -> None:
        self._sender.tell(part=name, **what)
        # It may be telling the other host that there will be more.
        self._sender.hear('opened', self._timeout + _READY)
        try:
            pack()
        except (OSError, processutils.ProcessExecutionError):
            self._sender.tell(packed=False)
            # If it is the sender that failed it says why.
            self._sender.hear('stopped')
            raise
        self._sender.tell(packed=True)
        self._sender.hear('sent')


@contextlib.contextmanager
def begun(context: typing.Any, host: str, uuid: str, parts: Parts,
          options: incoming.Options, runs: bool
          ) -> collections.abc.Iterator[Transfer]:
    """Have another host wait for a server, and what is large of it be there.

    :meth:`Transfer.finish` sends the rest. If something raises, here or
    meanwhile, that host removes what has come.

    :param context: nova.context.RequestContext
    :param host: the name that its nova-compute has
    :param parts: what there is of it already
    :param runs: whether it does
    :raises nova.exception.MigrationError: says why it failed
    """
    client = control.Client(context, host)
    try:
        with contextlib.ExitStack() as stack:
            with _reported(host):
                transfer = _begin(client, host, uuid, parts, options, stack)
                if runs:
                    transfer.send_ahead(parts)
            yield transfer
    except Exception:
        client.discard(uuid)
        raise


def _begin(client: control.Client, host: str, uuid: str,
           parts: Parts, options: incoming.Options,
           stack: contextlib.ExitStack) -> Transfer:
    """Connect to a host that then waits for a server.

    :param stack: gets what ends it
    """
    archive.ready()
    sizes = {name: int(layer.used(directory))
             for name, directory in parts.items()}
    offer = client.receive(uuid, sum(sizes.values()))
    fifo = stack.enter_context(spool.fifo(options.state_dir, uuid))
    sender = stack.enter_context(program.Program('sender'))
    sender.tell(**offer, fifo=fifo, timeout=options.timeout)
    # It takes as long as that host lets it.
    sender.hear('connected', options.timeout + _READY)
    return Transfer(host, uuid, sizes, sender, fifo, options.timeout)


@contextlib.contextmanager
def _reported(host: str) -> collections.abc.Iterator[None]:
    """Tell the user why it fails.

    :raises nova.exception.MigrationError: says so
    """
    try:
        yield
    except exception.MigrationError:
        raise
    except Exception as error:
        LOG.exception('A server is not sent to %s', host)
        raise exception.MigrationError(reason=_(
            'the files of the server did not get to %(host)s: %(reason)s') % {
                'host': host, 'reason': _reason(error)}) from error


def _reason(error: Exception) -> str:
    """Why, in words; of what a program said, its end."""
    said = getattr(error, 'stderr', None) or str(error)
    return str(said).strip().rpartition('\n')[2]
