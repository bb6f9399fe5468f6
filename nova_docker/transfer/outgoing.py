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
import dataclasses
import time
import typing

from nova import exception
from nova.i18n import _
from oslo_concurrency import processutils
from oslo_log import log as logging

from nova_docker.privsep import archive
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.transfer import program
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)

#: Seconds for a program to be ready.
_READY = 60


@dataclasses.dataclass(frozen=True)
class Part:
    """Files of a server.

    :ivar name: as nova_docker.transfer.spool.NAME
    :ivar directory: all that is in it, to which nobody writes meanwhile
    """
    name: str
    directory: str


@dataclasses.dataclass(frozen=True)
class Sent:
    """What went to another host, and is on its disk.

    :ivar parts: by name, the bytes of each
    :ivar wire: bytes that went over the network
    """
    parts: dict[str, int]
    wire: int


def send(context: typing.Any, host: str, uuid: str,
         parts: collections.abc.Sequence[Part],
         options: incoming.Options) -> Sent:
    """Have another host keep parts of a server, whole or not at all.

    :param context: nova.context.RequestContext
    :param host: the name that its nova-compute has
    :raises nova.exception.MigrationError: says why it failed
    """
    start = time.monotonic()
    client = control.Client(context, host)
    try:
        sizes = [(part.name, archive.measure(part.directory))
                 for part in parts]
        offer = client.receive(uuid, sizes)
        sent = _send(offer, uuid, parts, options)
    except Exception as error:
        client.discard(uuid)
        if isinstance(error, exception.MigrationError):
            raise
        LOG.exception('Instance %(uuid)s was not sent to %(host)s',
                      {'uuid': uuid, 'host': host})
        raise exception.MigrationError(reason=_(
            'the files of the server did not get to %(host)s: %(reason)s') % {
                'host': host, 'reason': _reason(error)}) from error
    LOG.info('Sent %(parts)s of instance %(uuid)s to %(host)s: %(size)d bytes '
             'in %(seconds).1f seconds', {
                 'parts': ', '.join(sent.parts), 'uuid': uuid, 'host': host,
                 'size': sent.wire, 'seconds': time.monotonic() - start})
    return sent


def _send(offer: dict[str, typing.Any], uuid: str,
          parts: collections.abc.Sequence[Part],
          options: incoming.Options) -> Sent:
    with (spool.fifo(options.state_dir, uuid) as fifo,
          program.Program('sender') as sender):
        sender.tell(**offer, fifo=fifo, timeout=options.timeout)
        for part in parts:
            sender.tell(part=part.name)
            # That it is connected takes as long as that host lets it.
            sender.hear('opened', options.timeout + _READY)
            try:
                archive.pack(part.directory, fifo)
            except (OSError, processutils.ProcessExecutionError):
                sender.tell(packed=False)
                # If it is the sender that failed it says why.
                sender.hear('stopped')
                raise
            sender.tell(packed=True)
            sender.hear('sent')
        sender.tell()
        done = sender.hear('done')
    return Sent({name: part['size'] for name, part in done['done'].items()},
                done['wire'])


def _reason(error: Exception) -> str:
    """Why, in words; of what a program said, its end."""
    said = getattr(error, 'stderr', None) or str(error)
    return str(said).strip().rpartition('\n')[2]
