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

import fixtures
from nova import exception
from nova import rpc
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.transfer import control
from nova_docker.transfer import incoming
from nova_docker.transfer import spool
from tests.unit.transfer import base


class ControlTest(base.TransferTestCase):

    def client(self, host='there'):
        return control.Client(self.context, host)

    def test_receive(self):
        offer = self.client().receive(uuids.instance, 1)
        self.assertEqual({'address', 'port', 'fingerprint', 'token'},
                         set(offer))

    def test_check(self):
        self.client().check({'files': 'of any host'})
        self.refusals['of another one'] = ['no kernel', 'no disk']
        error = self.assertRaises(
            exception.MigrationError, self.client().check,
            {'files': 'of another one'})
        self.assertIn('no kernel; no disk', str(error))

    def test_the_reason_of_a_refusal(self):
        error = self.assertRaises(
            exception.MigrationError, self.client().receive, '..', 1)
        self.assertIn('no such server', str(error))

    def test_nobody_answers(self):
        self.flags(rpc_response_timeout=1)
        error = self.assertRaises(
            exception.MigrationError, self.client('elsewhere').receive,
            uuids.instance, 1)
        self.assertIn('on host elsewhere does not answer', str(error))

    def test_an_older_one(self):
        self.useFixture(fixtures.MockPatchObject(control, '_VERSION', '1.1'))
        error = self.assertRaises(
            exception.MigrationError, self.client().receive, uuids.instance,
            1)
        self.assertIn('an older one', str(error))

    def test_live_migration(self):
        self.assertEqual({'kernel': '6.1'}, self.client().facts())
        self.client().prepare(uuids.instance)
        self.client().restore(uuids.instance)
        self.client().withdraw(uuids.instance)
        self.assertEqual([('prepare', uuids.instance),
                          ('restore', uuids.instance),
                          ('withdraw', uuids.instance)], self.asked)

    def test_images(self):
        client = self.client()
        self.assertIs(True, client.has_image(uuids.instance, 'there', 1))
        self.assertIs(False, client.has_image(uuids.instance, 'gone', 2))
        client.load_image(uuids.instance, 'gone', 2)
        self.assertEqual('name', client.send_image(uuids.instance, 'here'))
        self.assertEqual([
            ('has_image', uuids.instance, 'there', 1),
            ('has_image', uuids.instance, 'gone', 2),
            ('load_image', uuids.instance, 'gone', 2),
            ('send_image', uuids.instance, 'here')], self.asked)

    def test_images_fail(self):
        self.failure = errors.ServerError('no space left', 500)
        for verb, *wanted in (
                (self.client().has_image, uuids.instance, 'gone', 1),
                (self.client().load_image, uuids.instance, 'gone', 1),
                (self.client().send_image, uuids.instance, 'here')):
            raised = self.assertRaises(exception.MigrationError, verb,
                                       *wanted)
            self.assertIn('no space left', str(raised))

    def test_live_migration_fails(self):
        """Whatever it is: no class of ours crosses the bus."""
        for error in (errors.ServerError('criu failed', 500),
                      exception.MigrationError(reason='criu failed')):
            self.failure = error
            for verb in (self.client().prepare, self.client().restore,
                         self.client().withdraw):
                raised = self.assertRaises(exception.MigrationError, verb,
                                           uuids.instance)
                self.assertIn('criu failed', str(raised))

    def test_dies_as_it_restores(self):
        self.useFixture(fixtures.MockPatchObject(control, '_LONG', 1))
        error = self.assertRaises(
            exception.MigrationError, self.client('elsewhere').restore,
            uuids.instance)
        self.assertIn('does not answer', str(error))

    def test_mount_paths(self):
        self.assertEqual({uuids.volume: '/data'},
                         self.client().mount_paths(uuids.instance))

    def test_mount_paths_are_not_known(self):
        self.useFixture(fixtures.MockPatchObject(control, '_SHORT', 1))
        for host in 'there', 'elsewhere':
            self.assertEqual({}, self.client(host).mount_paths(uuids.other))

    def test_discard(self):
        spool.finish(spool.begin(self.there.state_dir, uuids.instance))
        self.client().discard(uuids.instance)
        self.assert_nothing_left()
        self.assertEqual([uuids.instance], self.discarded)

    def test_discard_never_fails(self):
        self.useFixture(fixtures.MockPatchObject(control, '_SHORT', 1))
        self.client('elsewhere').discard(uuids.instance)

    def test_start_clears(self):
        spool.begin(self.here.state_dir, uuids.partly)
        spool.finish(spool.begin(self.here.state_dir, uuids.instance))
        server = control.Server('here', self.here, self.answers)
        server.start()
        for _again in range(2):
            server.stop()
        self.assertEqual([uuids.instance], spool.unknown(
            self.here.state_dir, []))
        spool.discard(self.here.state_dir, uuids.instance)
        self.assert_nothing_left()

    def test_stops_before_it_has_started(self):
        control.Server('here', incoming.Options('', '', None, 1),
                       self.answers).stop()
        self.assertIsNotNone(rpc.TRANSPORT)
