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


"""Rescue: another container edits a server's files."""

from nova_docker.spec import names
from tests.fixtures import busybox
from tests.functional import base

LOOP = 'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"'
#: Breaks its configuration at the first run, and tells at each.
SERVER = ('sh -c "[ -e /etc/conf ] || echo broken > /etc/conf; '
          f'cat /etc/conf; echo ready; {LOOP}')
RESCUE = ('sh -c "ip addr; cat /mnt/etc/conf; echo fixed > /mnt/etc/conf; '
          f'echo ready; {LOOP}')


class RescueTest(base.FunctionalTestCase):

    def setUp(self):
        super().setUp()
        self.images = 0
        self.image_id = self.add_image(
            busybox.archive(), 'bb', properties={'os_command_line': SERVER})
        self.server = self.boot()
        self.assertIn('broken', self.console(self.server))
        self.own = self.container(self.server)['Id']

    def rescue_image(self, **properties):
        # Each is another image, of the same data.
        self.images += 1
        return self.add_image(busybox.archive(), f'cc{self.images}',
                              properties=properties)

    def rescue(self, state='RESCUE', **how):
        self.act(self.server, {'rescue': how or None}, state)

    def rescuer(self):
        return self.engine.inspect_container(
            names.rescue_name(self.server['id']))

    def assert_fixed(self):
        container = self.container(self.server)
        self.assertEqual((self.own, True), (container['Id'],
                                            container['State']['Running']))
        self.assertIn('fixed\nready', self.console(self.server, 'fixed'))

    def test_edit_and_unrescue(self):
        image_id = self.rescue_image(docker_command=RESCUE,
                                     os_command_line='sh -c "exit 1"')
        self.rescue(rescue_image_ref=image_id)
        rescuer = self.rescuer()
        self.assertTrue(rescuer['State']['Running'])
        self.assertEqual(64 << 20, rescuer['HostConfig']['Memory'])
        self.assertFalse(self.container(self.server)['State']['Running'])
        output = self.console(self.server)
        self.assertIn('192.168.1.3/24', output)
        self.assertIn('broken', output)
        self.assertEqual([self.server['id']],
                         self.driver.list_instance_uuids())
        self.act(self.server, {'unrescue': None}, 'ACTIVE')
        self.assert_fixed()
        self.assertIn('192.168.1.3', self.api.get_server(
            self.server['id'])['addresses'].popitem()[1][0]['addr'])
        self.delete(self.server)

    def test_own_image_and_stopped(self):
        self.act(self.server, {'os-stop': {}}, 'SHUTOFF')
        self.rescue()
        self.assertIn('broken', self.console(self.server))
        self.act(self.server, {'unrescue': None}, 'ACTIVE')
        self.delete(self.server)

    def test_restart_of_nova_compute_meanwhile(self):
        self.rescue(rescue_image_ref=self.rescue_image(docker_command=RESCUE))
        self.console(self.server)
        self.restart_compute_service(self.compute)
        self.assertEqual('RESCUE',
                         self.api.get_server(self.server['id'])['status'])
        self.act(self.server, {'unrescue': None}, 'ACTIVE')
        self.assert_fixed()
        self.delete(self.server)

    def test_image_that_cannot_rescue(self):
        image_id = self.rescue_image(docker_command='sh -c "exit 1"')
        self.rescue('ERROR', rescue_image_ref=image_id)
        self.assertIn('its command ends at once', self.fault(self.server))
        self.act(self.server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertEqual(self.own, self.container(self.server)['Id'])
        image_id = self.rescue_image(docker_command='/absent')
        self.rescue('ERROR', rescue_image_ref=image_id)
        self.assertIn('/absent', self.fault(self.server))
        # A better image, right from there.
        self.rescue(rescue_image_ref=self.rescue_image(docker_command=RESCUE))
        self.console(self.server)
        self.act(self.server, {'unrescue': None}, 'ACTIVE')
        self.assert_fixed()
        self.delete(self.server)

    def test_delete_rescued(self):
        self.rescue()
        self.delete(self.server)
