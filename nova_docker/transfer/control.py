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

"""What the hosts ask each other, over the message bus of Nova.

So it needs no keys between hosts, and is authenticated and encrypted as the
operator has it for Nova itself. Only small things go there: what is large goes
from host to host.
"""

import collections.abc
import dataclasses
import typing

from nova import exception
from nova.i18n import _
from nova import rpc
from oslo_log import log as logging
import oslo_messaging

from nova_docker.transfer import incoming
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)

_TOPIC = 'nova-docker'
_VERSION = '1.0'
#: Seconds to wait for an answer on which nothing depends.
_SHORT = 10


#: Removes what else is here of a server, given its uuid.
OnDiscard = collections.abc.Callable[[str], None]
#: Says why files can't be on this host, by what they need of it.
Refusals = collections.abc.Callable[[dict[str, typing.Any]],
                                    collections.abc.Iterable[str]]


class _Endpoint:
    """What another host may ask for.

    1.0: check, receive, discard
    """

    target = oslo_messaging.Target(version=_VERSION)

    def __init__(self, transfers: incoming.Incoming,
                 on_discard: OnDiscard, refusals: Refusals) -> None:
        self._transfers = transfers
        self._on_discard = on_discard
        self._refusals = refusals

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def check(self, context: typing.Any,
              needs: dict[str, typing.Any]) -> None:
        """See that files which need something of a host can be here."""
        reasons = list(self._refusals(needs))
        if reasons:
            raise exception.MigrationError(reason='; '.join(reasons))

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def receive(self, context: typing.Any, instance_uuid: str,
                parts: list[list[typing.Any]]) -> dict[str, typing.Any]:
        """Wait for the parts of a server.

        :param parts: the name of each, and its size in bytes
        :returns: nova_docker.transfer.incoming.Offer
        """
        return dataclasses.asdict(self._transfers.receive(
            instance_uuid, [(name, size) for name, size in parts]))

    def discard(self, context: typing.Any, instance_uuid: str) -> None:
        """Remove what is here of a server that stays where it was."""
        self._transfers.discard(instance_uuid)
        self._on_discard(instance_uuid)


class Server:
    """Answers other hosts."""

    def __init__(self, host: str, options: incoming.Options,
                 on_discard: OnDiscard, refusals: Refusals) -> None:
        self._host = host
        self._options = options
        self._on_discard = on_discard
        self._refusals = refusals
        self._transfers = incoming.Incoming(options)
        self._server: typing.Any = None

    def start(self) -> None:
        """Begin to answer. What was on its way before is forgotten."""
        spool.clear(self._options.state_dir)
        self._server = rpc.get_server(
            oslo_messaging.Target(topic=_TOPIC, server=self._host),
            [_Endpoint(self._transfers, self._on_discard, self._refusals)])
        self._server.start()

    def stop(self) -> None:
        """End what :meth:`start` began (idempotent)."""
        if self._server:
            self._server.stop()
            self._transfers.stop()
            self._server.wait()
            self._server = None


class Client:
    """Asks another host.

    :param context: nova.context.RequestContext
    """

    def __init__(self, context: typing.Any, host: str) -> None:
        self._context = context
        self._host = host
        self._client = rpc.get_client(oslo_messaging.Target(
            topic=_TOPIC, version=_VERSION)).prepare(server=host)

    def receive(self, instance_uuid: str,
                parts: list[tuple[str, int]]) -> dict[str, typing.Any]:
        """Ask it to wait for the parts of a server.

        :returns: nova_docker.transfer.incoming.Offer
        :raises nova.exception.MigrationError: it does not
        """
        offer: dict[str, typing.Any] = self._call(
            'receive', instance_uuid=instance_uuid, parts=parts)
        return offer

    def check(self, needs: dict[str, typing.Any]) -> None:
        """Ask it whether files can be there.

        :param needs: what they need of a host
        :raises nova.exception.MigrationError: says why not
        """
        self._call('check', needs=needs)

    def _call(self, method: str, **arguments: typing.Any) -> typing.Any:
        try:
            return self._client.call(self._context, method, **arguments)
        except oslo_messaging.MessagingException as error:
            LOG.exception('Host %s can not be asked', self._host)
            raise exception.MigrationError(reason=_(
                'nova-docker on host %s does not answer, is not there or is '
                'an older one') % self._host) from error

    def discard(self, instance_uuid: str) -> None:
        """Have it remove what it has of a server that stays here.

        Never raises: what is left goes with the next attempt, or when that
        nova-compute starts.
        """
        try:
            # Not a cast: it could come long after this, when it is wrong.
            self._client.prepare(timeout=_SHORT).call(
                self._context, 'discard', instance_uuid=instance_uuid)
        except Exception:
            LOG.exception('Host %(host)s is not told that instance %(uuid)s '
                          'stays', {'host': self._host, 'uuid': instance_uuid})
