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

import errno
import os

import fixtures
from nova import exception
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.transfer import incoming
from nova_docker.transfer import spool


class IncomingTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        self.incoming = self.make()

    def make(self, address='127.0.0.1', ports=None, timeout=60):
        made = incoming.Incoming(incoming.Options(
            self.state_dir, address, ports, timeout))
        self.addCleanup(made.stop)
        return made

    def test_offer(self):
        offer = self.incoming.receive(uuids.instance, 10240)
        self.assertEqual('127.0.0.1', offer.address)
        self.assertEqual((64, 64), (len(offer.token),
                                    len(offer.fingerprint)))
        self.assertNotIn(offer.token, repr(offer))
        other = self.incoming.receive(uuids.other, 1)
        self.assertEqual(4, len({offer.token, other.token, offer.fingerprint,
                                 other.fingerprint}))

    def test_range_of_ports(self):
        found = {self.make(ports=(45000, 45999)).receive(
            uuid, 0).port for uuid in (uuids.instance, uuids.other)}
        self.assertEqual(2, len(found))
        self.assertEqual(set(), found - set(range(45000, 46000)))

    def test_no_such_server(self):
        self.assertRaises(exception.MigrationError, self.incoming.receive,
                          '../..', 1)

    def test_no_space(self):
        error = self.assertRaises(
            exception.MigrationError, self.incoming.receive, uuids.instance,
            1 << 60)
        self.assertIn(f'{1 << 40} MiB are to be moved', str(error))

    def test_address_of_another_host(self):
        error = self.assertRaises(
            exception.MigrationError, self.make('192.0.2.1').receive,
            uuids.instance, 1)
        self.assertIn(os.strerror(errno.EADDRNOTAVAIL), str(error))
        self.assertEqual([], os.listdir(spool.directory(self.state_dir)))

    def test_discard(self):
        self.incoming.receive(uuids.instance, 1)
        program = self.incoming._programs[uuids.instance]
        for _again in range(2):
            self.incoming.discard(uuids.instance)
            self.assertEqual([], os.listdir(spool.directory(
                self.state_dir)))
        self.assertEqual(-9, program._process.wait(60))

    def test_discard_nothing_else(self):
        kept = os.path.join(spool.directory(self.state_dir), '..', 'kept')
        os.makedirs(kept)
        self.assertRaises(exception.MigrationError, self.incoming.discard,
                          '../kept')
        self.assertTrue(os.path.isdir(kept))

    def test_the_last_one_counts(self):
        self.incoming.receive(uuids.instance, 1)
        former = self.incoming._programs[uuids.instance]
        self.incoming.receive(uuids.instance, 1)
        former._process.wait(60)
        self.assertIsNot(former, self.incoming._programs[uuids.instance])
        self.assertEqual([f'.coming-{uuids.instance}'], os.listdir(
            spool.directory(self.state_dir)))
