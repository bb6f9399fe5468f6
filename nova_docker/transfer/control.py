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
import contextlib
import dataclasses
import typing

from nova import exception
from nova.i18n import _
from nova import rpc
from oslo_log import log as logging
import oslo_messaging

from nova_docker.privsep import archive
from nova_docker.transfer import incoming
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)

_TOPIC = 'nova-docker'
_VERSION = '1.0'
#: Seconds to wait for an answer on which nothing depends.
_SHORT = 10
#: Seconds that a host may take for what takes long, as to restore a server or
#: to have an image, and after which one that does not say that it is at it is
#: taken for dead.
_LONG = 3600
_SILENCE = 60


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a host does with servers that another host moves here.

    :ivar discard: removes what else is here of a server, by its uuid, than the
        parts that have come
    :ivar refusals: says why files can't be here, by what they need of a host
    :ivar has_image: whether the image is here, or can be had, that the files
        of a server are upon: by its uuid, the name of that image and the GiB
        of its root disk
    :ivar load_image: loads that image, which has come in its place
    :ivar send_image: sends that of a server of this host to the named host,
        unless it is there, and returns its name
    :ivar facts: what has to be the same on both hosts of a live migration
    :ivar prepare: unpacks what has come of a server that goes on elsewhere yet
    :ivar restore: lets a server go on here
    :ivar withdraw: sees that it does not, and never will
    :ivar mount_paths: where the volumes of a server were that goes back, as of
        nova_docker.spec.volumes
    """
    discard: collections.abc.Callable[[str], None]
    refusals: collections.abc.Callable[
        [dict[str, typing.Any]], collections.abc.Iterable[str]]
    has_image: collections.abc.Callable[[typing.Any, str, str, int], bool]
    load_image: collections.abc.Callable[[typing.Any, str, str, int], None]
    send_image: collections.abc.Callable[[typing.Any, str, str], str]
    facts: collections.abc.Callable[[], dict[str, typing.Any]]
    prepare: collections.abc.Callable[[str], None]
    restore: collections.abc.Callable[[str], None]
    withdraw: collections.abc.Callable[[str], None]
    mount_paths: collections.abc.Callable[[str], dict[str, str]]


class _Endpoint:
    """What another host may ask for.

    1.0: check, receive, discard, facts, prepare, restore, withdraw,
    mount_paths, has_image, load_image, send_image
    """

    target = oslo_messaging.Target(version=_VERSION)

    def __init__(self, transfers: incoming.Incoming,
                 answers: Answers) -> None:
        self._transfers = transfers
        self._answers = answers

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def check(self, context: typing.Any,
              needs: dict[str, typing.Any]) -> None:
        """See that files which need something of a host can be here."""
        reasons = list(self._answers.refusals(needs))
        if reasons:
            raise exception.MigrationError(reason='; '.join(reasons))

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def receive(self, context: typing.Any, instance_uuid: str,
                size: int) -> dict[str, typing.Any]:
        """Wait for the parts of a server.

        :param size: bytes that there must be room for
        :returns: nova_docker.transfer.incoming.Offer
        """
        # It is what unpacks them, when the server waits for it.
        archive.ready()
        return dataclasses.asdict(
            self._transfers.receive(instance_uuid, size))

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def has_image(self, context: typing.Any, instance_uuid: str, image: str,
                  root_gb: int) -> bool:
        """Whether the image can be here that a server's files are upon."""
        with _reported():
            return self._answers.has_image(context, instance_uuid, image,
                                           root_gb)

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def load_image(self, context: typing.Any, instance_uuid: str, image: str,
                   root_gb: int) -> None:
        """Load that image, which has come as the only part of a server."""
        with _reported():
            self._answers.load_image(context, instance_uuid, image, root_gb)

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def send_image(self, context: typing.Any, instance_uuid: str,
                   host: str) -> str:
        """Have another host have that image of a server of this one."""
        with _reported():
            return self._answers.send_image(context, instance_uuid, host)

    def discard(self, context: typing.Any, instance_uuid: str) -> None:
        """Remove what is here of a server that stays where it was."""
        self._transfers.discard(instance_uuid)
        self._answers.discard(instance_uuid)

    def mount_paths(self, context: typing.Any,
                    instance_uuid: str) -> dict[str, str]:
        """Where the volumes of a server were that goes back."""
        return self._answers.mount_paths(instance_uuid)

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def facts(self, context: typing.Any) -> dict[str, typing.Any]:
        """What has to be the same on both hosts of a live migration."""
        with _reported():
            return self._answers.facts()

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def prepare(self, context: typing.Any, instance_uuid: str) -> None:
        """Unpack what has come of a server that goes on elsewhere yet."""
        with _reported():
            self._answers.prepare(instance_uuid)

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def restore(self, context: typing.Any, instance_uuid: str) -> None:
        """Let a server go on here, which has come as a whole."""
        with _reported():
            self._answers.restore(instance_uuid)

    @oslo_messaging.expected_exceptions(exception.MigrationError)
    def withdraw(self, context: typing.Any, instance_uuid: str) -> None:
        """See that a server does not go on here, and never will."""
        with _reported():
            self._answers.withdraw(instance_uuid)


@contextlib.contextmanager
def _reported() -> collections.abc.Iterator[None]:
    """Of all that fails, the other host gets the reason."""
    try:
        yield
    except exception.MigrationError:
        raise
    except Exception as error:
        LOG.exception('What another host asks for fails')
        raise exception.MigrationError(reason=str(error)) from error


class Server:
    """Answers other hosts."""

    def __init__(self, host: str, options: incoming.Options,
                 answers: Answers) -> None:
        self._host = host
        self._options = options
        self._answers = answers
        self._transfers = incoming.Incoming(options)
        self._server: typing.Any = None

    def start(self) -> None:
        """Begin to answer. What was on its way before is forgotten."""
        spool.clear(self._options.state_dir)
        self._server = rpc.get_server(
            oslo_messaging.Target(topic=_TOPIC, server=self._host),
            [_Endpoint(self._transfers, self._answers)])
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

    def receive(self, instance_uuid: str, size: int) -> dict[str, typing.Any]:
        """Ask it to wait for the parts of a server.

        :param size: bytes that there must be room for
        :returns: nova_docker.transfer.incoming.Offer
        :raises nova.exception.MigrationError: it does not
        """
        offer: dict[str, typing.Any] = self._call(
            self._client, 'receive', instance_uuid=instance_uuid, size=size)
        return offer

    def check(self, needs: dict[str, typing.Any]) -> None:
        """Ask it whether files can be there.

        :param needs: what they need of a host
        :raises nova.exception.MigrationError: says why not
        """
        self._call(self._client, 'check', needs=needs)

    def has_image(self, instance_uuid: str, image: str, root_gb: int) -> bool:
        """Whether it has, or can get, the image that files are upon.

        :param image: what it is called on this host
        :param root_gb: GiB of the root disk; 0 for no limit
        :raises nova.exception.MigrationError: it does not answer, or such a
            server can't be there
        """
        return bool(self._call(
            self._patient(), 'has_image', instance_uuid=instance_uuid,
            image=image, root_gb=root_gb))

    def load_image(self, instance_uuid: str, image: str,
                   root_gb: int) -> None:
        """Have it load that image, which was sent to it.

        :raises nova.exception.MigrationError: it does not
        """
        self._call(self._patient(), 'load_image', image=image,
                   instance_uuid=instance_uuid, root_gb=root_gb)

    def send_image(self, instance_uuid: str, host: str) -> str:
        """Have another host have that image of a server that it has.

        :returns: what it is called there
        :raises nova.exception.MigrationError: says why not
        """
        return str(self._call(self._patient(), 'send_image', host=host,
                              instance_uuid=instance_uuid))

    def facts(self) -> dict[str, typing.Any]:
        """What has to be the same on both hosts of a live migration.

        :raises nova.exception.MigrationError: it does not answer
        """
        told: dict[str, typing.Any] = self._call(self._client, 'facts')
        return told

    def prepare(self, instance_uuid: str) -> None:
        """Have it unpack what has come of a server that goes on here yet.

        :raises nova.exception.MigrationError: says why it does not
        """
        self._call(self._patient(), 'prepare', instance_uuid=instance_uuid)

    def restore(self, instance_uuid: str) -> None:
        """Let a server go on there, which has come as a whole.

        :raises nova.exception.MigrationError: it does not, or it is not known
            whether it does: see :meth:`withdraw`
        """
        self._call(self._patient(), 'restore', instance_uuid=instance_uuid)

    def withdraw(self, instance_uuid: str) -> None:
        """See that a server does not go on there, and never will.

        :raises nova.exception.MigrationError: it may
        """
        self._call(self._client, 'withdraw', instance_uuid=instance_uuid)

    def _patient(self) -> typing.Any:
        """For what takes long."""
        return self._client.prepare(timeout=_LONG,
                                    call_monitor_timeout=_SILENCE)

    def _call(self, client: typing.Any, method: str,
              **arguments: typing.Any) -> typing.Any:
        try:
            return client.call(self._context, method, **arguments)
        except oslo_messaging.MessagingException as error:
            LOG.exception('Host %s can not be asked', self._host)
            raise exception.MigrationError(reason=_(
                'nova-docker on host %s does not answer, is not there or is '
                'an older one') % self._host) from error

    def mount_paths(self, instance_uuid: str) -> dict[str, str]:
        """Where the volumes of a server were that comes back.

        Never raises: the other way is to ask Cinder where they are to be.

        :returns: as of nova_docker.spec.volumes
        """
        try:
            told: dict[str, str] = self._client.prepare(timeout=_SHORT).call(
                self._context, 'mount_paths', instance_uuid=instance_uuid)
        except Exception:
            LOG.exception('Host %(host)s does not tell where the volumes of '
                          'instance %(uuid)s were', {
                              'host': self._host, 'uuid': instance_uuid})
            return {}
        return told

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
