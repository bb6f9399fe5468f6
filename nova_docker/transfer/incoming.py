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

"""What comes to this host."""

import dataclasses
import os
import random
import secrets
import shutil
import threading
import time

from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import units
from oslo_utils import uuidutils

from nova_docker.transfer import program
from nova_docker.transfer import spool

LOG = logging.getLogger(__name__)

#: Seconds for a program to be ready.
_READY = 60


@dataclasses.dataclass(frozen=True)
class Options:
    """Of this host.

    :ivar state_dir: absolute path
    :ivar address: where others connect to
    :ivar ports: the first and the last one to listen at; None for any
    :ivar timeout: seconds without progress after which a transfer fails
    """
    state_dir: str
    address: str
    ports: tuple[int, int] | None
    timeout: int


@dataclasses.dataclass(frozen=True)
class Offer:
    """Where the parts of a server are waited for.

    :ivar fingerprint: SHA-256 of the certificate that is shown there
    :ivar token: who knows it may send
    """
    address: str
    port: int
    fingerprint: str
    token: str = dataclasses.field(repr=False)


class Incoming:
    """The programs that receive, one for each server at most."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._programs: dict[str, program.Program] = {}

    def receive(self, uuid: str, size: int) -> Offer:
        """Wait for the parts of a server; what has come before is removed.

        :param size: bytes that there must be room for
        :raises nova.exception.MigrationError: says why not
        """
        self._check(uuid, size)
        options, token = self._options, secrets.token_hex()
        try:
            receiver, directory = self._begin(uuid)
        except OSError as error:
            raise self._failed(error) from error
        try:
            receiver.tell(
                address=options.address, ports=self._ports(),
                directory=directory, token=token, timeout=options.timeout)
            ready = receiver.hear('port', _READY)
        except program.Failed as error:
            self._end(uuid, receiver)
            raise self._failed(error) from error
        threading.Thread(target=self._follow, args=(uuid, receiver),
                         name='docker-receive', daemon=True).start()
        return Offer(options.address, ready['port'], ready['fingerprint'],
                     token)

    def discard(self, uuid: str) -> None:
        """Remove all that has come of a server, and wait for no more.

        :raises nova.exception.MigrationError: there can be no such server
        """
        if not uuidutils.is_uuid_like(uuid):
            # It is the name of a directory, and another host has said it.
            raise exception.MigrationError(reason=_('no such server'))
        with self._lock:
            self._forget(uuid)

    def stop(self) -> None:
        """Wait for nothing any more. What has come as a whole is kept."""
        with self._lock:
            receivers = list(self._programs.values())
        for receiver in receivers:
            receiver.end()

    def _begin(self, uuid: str) -> tuple[program.Program, str]:
        """A program in place of any former one, and where it is to write."""
        with self._lock:
            self._forget(uuid)
            directory = spool.begin(self._options.state_dir, uuid)
            receiver = self._programs[uuid] = program.Program('receiver')
        return receiver, directory

    def _forget(self, uuid: str) -> None:
        receiver = self._programs.pop(uuid, None)
        if receiver:
            # It must not finish what another one has begun.
            receiver.end()
        spool.discard(self._options.state_dir, uuid)

    @staticmethod
    def _failed(error: Exception) -> exception.MigrationError:
        return exception.MigrationError(
            reason=_('this host can not receive it: %s') % error)

    def _check(self, uuid: str, size: int) -> None:
        if not uuidutils.is_uuid_like(uuid):
            raise exception.MigrationError(reason=_('no such server'))
        os.makedirs(self._options.state_dir, exist_ok=True)
        free = shutil.disk_usage(self._options.state_dir).free
        if size > free:
            raise exception.MigrationError(reason=_(
                '%(needed)d MiB are to be moved, and there are %(free)d MiB '
                'free in [docker]state_dir of the host that they go to') % {
                    'needed': size // units.Mi, 'free': free // units.Mi})

    def _ports(self) -> list[int]:
        if self._options.ports is None:
            return [0]
        first, last = self._options.ports
        # So that two do not want the same one at a time.
        return random.sample(range(first, last + 1), last + 1 - first)

    def _follow(self, uuid: str, receiver: program.Program) -> None:
        """See a program to its end."""
        start = time.monotonic()
        try:
            done = receiver.hear('done')['done']
            LOG.info('Received %(parts)s of instance %(uuid)s: %(size)d bytes '
                     'in %(seconds).1f seconds', {
                         'parts': ', '.join(done), 'uuid': uuid,
                         'size': sum(part['size'] for part in done.values()),
                         'seconds': time.monotonic() - start})
        except program.Failed as error:
            LOG.warning('Instance %(uuid)s was not received: %(error)s',
                        {'uuid': uuid, 'error': error})
        self._end(uuid, receiver)

    def _end(self, uuid: str, receiver: program.Program) -> None:
        with receiver, self._lock:
            if self._programs.get(uuid) is receiver:
                del self._programs[uuid]
                if not spool.complete(self._options.state_dir, uuid):
                    spool.discard(self._options.state_dir, uuid)
