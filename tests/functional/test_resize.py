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

"""Resize on the same host, by Nova's API."""

from nova.compute import power_state

from tests.fixtures import archives
from tests.fixtures import dockerd
from tests.functional import base

LOOP = 'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"'
#: Counts its runs in a file, and tells the size of its disk.
COUNT = ('sh -c "echo x >> /count; df -m /; '
         f'echo runs: $(wc -l < /count); {LOOP}')
#: What a user changes: a link, an attribute, a file of the image that goes.
CHANGE = ('echo kept > /kept && ln /kept /linked && rm /of-the-image && '
          'chmod 4750 /kept')
WHOLE = ('test "$(cat /kept)" = kept && test /kept -ef /linked && '
         'test ! -e /of-the-image && test -u /kept')


class ResizeTest(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        self.flags(allow_resize_to_same_host=True)
        self.api.microversion = 'latest'
        self.large = self.admin_api.post_flavor(
            {'flavor': {'name': 'large', 'id': '1002', 'vcpus': 2,
                        'ram': 128, 'disk': 2}})['id']
        self.image_id = self.add_image(archives.docker25([
            dockerd.busybox_layer(), archives.layer(('of-the-image', b''))]),
            'bb', properties={'os_command_line': COUNT})
        self.server = self.boot()
        self.assertIn('runs: 1', self.console(self.server, 'runs: 1'))
        self.succeeds(self.server, CHANGE)
        self.old = self.container(self.server)['Id']

    def resize(self, flavor=None):
        self.act(self.server, {'resize': {
            'flavorRef': flavor or self.large}}, 'VERIFY_RESIZE')

    def memory(self):
        return self.container(self.server)['HostConfig']['Memory'] >> 20

    def test_confirmed(self):
        plugs = self.os_vif_unplug.call_count
        self.resize()
        output = self.console(self.server, 'runs: 2')
        self.assertIn('runs: 2', output)
        self.assertRegex(output, r' 19\d\d .* /\n')
        self.succeeds(self.server, WHOLE)
        self.assertEqual(128, self.memory())
        self.assertEqual(plugs, self.os_vif_unplug.call_count,
                         'the port flapped')
        self.api.post_server_action(self.server['id'],
                                    {'confirmResize': None})
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.succeeds(self.server, WHOLE)
        self.delete(self.server)

    def test_reverted(self):
        self.resize()
        self.console(self.server, 'runs: 2')
        self.succeeds(self.server, 'echo changed > /kept')
        self.act(self.server, {'revertResize': None}, 'ACTIVE')
        self.assertIn('runs: 2', self.console(self.server, 'runs: 2'))
        self.succeeds(self.server, WHOLE)
        self.assertEqual(64, self.memory())
        self.assertEqual(self.old, self.container(self.server)['Id'])
        self.delete(self.server)

    def test_unshelved(self):
        """Nova has deleted the image that it is of."""
        self.flags(shelved_offload_time=0)
        self.act(self.server, {'shelve': {}}, 'SHELVED_OFFLOADED')
        self.act(self.server, {'unshelve': None}, 'ACTIVE')
        image = self.container(self.server)['Config']['Image']
        self.resize()
        self.console(self.server, 'runs: 3')
        self.succeeds(self.server, WHOLE)
        self.assertEqual(image, self.container(self.server)['Config']['Image'])
        self.act(self.server, {'revertResize': None}, 'ACTIVE')
        self.succeeds(self.server, WHOLE)
        self.delete(self.server)

    def test_stopped(self):
        self.act(self.server, {'os-stop': {}}, 'SHUTOFF')
        # The list of a busy engine may show a moment later that it has ended.
        self._wait_for_server_parameter(
            self.server, {'OS-EXT-STS:power_state': power_state.SHUTDOWN})
        self.resize()
        self.act(self.server, {'confirmResize': None}, 'SHUTOFF')
        self.act(self.server, {'os-start': {}}, 'ACTIVE')
        self.assertIn('runs: 2', self.console(self.server, 'runs: 2'))
        self.succeeds(self.server, WHOLE)
        self.delete(self.server)

    def test_refused(self):
        """Nova's API allows what no container can have."""
        flavor = self.admin_api.post_flavor(
            {'flavor': {'name': 'tiny', 'id': '1003', 'vcpus': 1, 'ram': 4,
                        'disk': 1}})['id']
        self.api.post_server_action(self.server['id'], {
            'resize': {'flavorRef': flavor}})
        self._wait_for_server_parameter(
            self.server, {'status': 'ACTIVE', 'OS-EXT-STS:task_state': None,
                          'OS-EXT-STS:vm_state': 'active'})
        self.succeeds(self.server, WHOLE)
        self.assertEqual(self.old, self.container(self.server)['Id'])
        self.delete(self.server)

    def test_deleted_before_it_is_confirmed(self):
        self.resize()
        self.delete(self.server)
