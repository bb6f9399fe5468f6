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

"""Two hosts in one process, with real programs; without root's part."""

import functools
import os

import fixtures
from nova import context
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.privsep import archive
from nova_docker.privsep import changes
from nova_docker.privsep import layer
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.transfer import outgoing
from nova_docker.transfer import spool
from tests.fixtures import privsep


class TransferTestCase(test.NoDBTestCase):
    """A host with files, and one that they go to.

    :ivar asked: what the second one was asked of servers
    :ivar failure: what it fails with then
    :ivar data: by directory, what its archive is
    :ivar discarded: the servers that the other host was told to discard
    :ivar refusals: of the other host, by what files need
    """

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.context = context.get_admin_context()
        self.here, self.there = (
            incoming.Options(
                self.useFixture(fixtures.TempDir()).path, '127.0.0.1', None,
                60) for _host in range(2))
        self.asked = []
        self.failure = None
        self.discarded = []
        self.refusals = {}
        self.answers = control.Answers(
            self.discarded.append,
            lambda needs: self.refusals.get(needs['files'], ()),
            self._has_image, self._load_image, self._send_image,
            lambda: {'kernel': '6.1'},
            functools.partial(self._answer, 'prepare'),
            functools.partial(self._answer, 'restore'),
            functools.partial(self._answer, 'withdraw'),
            {uuids.instance: {uuids.volume: '/data'}}.__getitem__)
        self.server = control.Server('there', self.there, self.answers)
        self.server.start()
        self.addCleanup(self.server.stop)
        self.data = {'/root': os.urandom(3 << 20), '/ephemeral': b'e'}
        self.pack = self.stand_for(archive, 'pack', self._pack)
        self.stand_for(archive, 'ready', lambda: None)
        self.stand_for(layer, 'used', lambda path: len(self.data[path]))
        self.survey = self.stand_for(changes, 'survey', self._survey)
        self.pack_first = self.stand_for(
            changes, 'pack_first',
            lambda directory, fifo, notes: self._pack(directory, fifo))
        self.stand_for(changes, 'compare', lambda directory, notes: None)
        self.stand_for(changes, 'pack', self._pack_changes)

    def stand_for(self, module, name, function):
        return self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True, side_effect=function)).mock

    @staticmethod
    def _survey(directory, notes):
        with open(notes, 'x') as file:
            file.write(directory)

    def _pack_changes(self, directory, fifo, notes):
        with open(notes) as file:
            self.write(fifo, b'changes of ' + file.read().encode())

    def _answer(self, verb, *wanted):
        self.asked.append((verb, *wanted))
        if self.failure:
            raise self.failure

    def _has_image(self, context, *wanted):
        self._answer('has_image', *wanted)
        return wanted[1] == 'there'

    def _load_image(self, context, *wanted):
        self._answer('load_image', *wanted)

    def _send_image(self, context, *wanted):
        self._answer('send_image', *wanted)
        return 'name'

    def _pack(self, directory, fifo):
        self.write(fifo, self.data[directory])

    @staticmethod
    def write(fifo, data):
        """As what it stands for, it does not wait for a reader."""
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(descriptor, True)
        with open(descriptor, 'wb') as file:
            file.write(data)

    def send(self, host='there', runs=True, meanwhile=lambda: None):
        """Send parts of a server, and do something when it is stopped."""
        parts = {'root': '/root', 'ephemeral0': '/ephemeral'}
        with outgoing.begun(self.context, host, uuids.instance, parts,
                            self.here, runs) as transfer:
            meanwhile()
            return transfer.finish(parts)

    def assert_nothing_left(self):
        for host in self.here, self.there:
            path = spool.directory(host.state_dir)
            self.assertEqual([], os.listdir(path) if os.path.exists(
                path) else [])
