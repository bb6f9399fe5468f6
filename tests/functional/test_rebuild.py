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


"""Rebuild, and soft delete with restore: what becomes of the files."""

from tests.fixtures import busybox
from tests.functional import base

LOOP = 'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"'
#: Counts its runs in a file.
COUNT = ('sh -c "echo x >> /count; ip addr; '
         f'echo runs: $(wc -l < /count); {LOOP}')


class CountingTestCase(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        self.image_id = self.add_image(
            busybox.archive(), 'bb', properties={'os_command_line': COUNT})
        self.server = self.boot()
        self.assertIn('runs: 1', self.console(self.server, 'runs: 1'))
        self.own = self.container(self.server)['Id']


class RebuildTest(CountingTestCase):

    def test_to_another_image(self):
        plugs = self.os_vif_unplug.call_count
        other = self.add_image(busybox.archive(), 'cc')
        self.act(self.server, {'rebuild': {'imageRef': other}}, 'ACTIVE')
        self.assertNotEqual(self.own, self.container(self.server)['Id'])
        self.assertIn('192.168.1.3/24', self.console(self.server))
        self.assertEqual(plugs, self.os_vif_unplug.call_count,
                         'the port flapped')
        self.delete(self.server)

    def test_stopped_and_preserving(self):
        self.act(self.server, {'os-stop': {}}, 'SHUTOFF')
        self.act(self.server, {'rebuild': {
            'imageRef': self.image_id, 'preserve_ephemeral': True}},
            'SHUTOFF')
        self.act(self.server, {'os-start': {}}, 'ACTIVE')
        self.assertIn('runs: 2', self.console(self.server, 'runs: 2'))
        self.delete(self.server)

    def test_to_bad_images_keeps_the_files(self):
        for checksum, data, properties, reason in (
                ('cc', b'no archive' * 1000, {}, 'not a tar'),
                ('dd', busybox.archive(),
                 {'docker_command': '/absent', 'os_command_line': ''},
                 '/absent')):
            bad = self.add_image(data, checksum, properties=properties)
            self.act(self.server, {'rebuild': {'imageRef': bad}}, 'ERROR')
            self.assertIn(reason, self.fault(self.server))
            self.assertEqual(self.own, self.container(self.server)['Id'])
        self.act(self.server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertIn('runs: 2', self.console(self.server, 'runs: 2'))
        self.act(self.server, {'rebuild': {'imageRef': self.image_id}},
                 'ACTIVE')
        self.assertIn('runs: 1', self.console(self.server, 'runs: 1'))
        self.delete(self.server)


class SoftDeleteTest(CountingTestCase):

    def test_restore(self):
        self.flags(reclaim_instance_interval=3600)
        self.api.delete_server(self.server['id'])
        self._wait_for_state_change(self.server, 'SOFT_DELETED')
        self.assertFalse(self.container(self.server)['State']['Running'])
        self.act(self.server, {'restore': {}}, 'ACTIVE')
        output = self.console(self.server, 'runs: 2')
        self.assertIn('runs: 2', output)
        self.assertEqual(2, output.count('192.168.1.3/24'))
        self.flags(reclaim_instance_interval=0)
        self.delete(self.server)
