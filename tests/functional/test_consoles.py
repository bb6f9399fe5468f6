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

"""Consoles, as Nova's API gives them and its proxies find them."""

from nova.tests.functional.api import client as api_client

from tests.fixtures import busybox
from tests.fixtures import consoles
from tests.functional import base


class ConsolesTest(base.FunctionalTestCase):

    microversion = 'latest'

    def setUp(self):
        super().setUp()
        self.flags(group='serial_console', enabled=True)
        self.flags(group='docker', suspend='checkpoint', criu='')
        self.compute = self.restart_compute_service(self.compute)
        self.image_id = self.add_image(busybox.archive(), 'cc', properties={
            'os_command_line': 'sh', 'docker_tty': 'true'})

    def address(self, server, protocol, kind):
        """What a proxy is told about a token for a console."""
        url = self.api.api_post(f'/servers/{server["id"]}/remote-consoles', {
            'remote_console': {'protocol': protocol, 'type': kind}},
        ).body['remote_console']['url']
        token = url.rpartition('token')[2].removeprefix(
            '%3D').removeprefix('=')
        found = self.admin_api.api_get(
            f'/os-console-auth-tokens/{token}').body['console']
        self.assertEqual(server['id'], found['instance_uuid'])
        return found['host'], found['port']

    def serial(self, server):
        client = consoles.SerialClient(
            self.address(server, 'serial', 'serial'))
        self.addCleanup(client.close)
        return client

    def test_serial(self):
        server = self.boot()
        client = self.serial(server)
        client.send(b'echo a""b\n')
        client.wait_for(b'ab\r\n')
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        client.send(b'echo c""d\n')
        client.wait_for(b'cd\r\n')
        self.assertEqual(client.socket.getpeername(), self.address(
            server, 'serial', 'serial'))
        self.delete(server)
        self.assertRaises(AssertionError, client.wait_for, b'never')

    def test_vnc(self):
        server = self.boot()
        client = consoles.VncClient(self.address(server, 'vnc', 'novnc'))
        self.addCleanup(client.close)
        client.type('echo a""b\n')
        client.wait_for('ab')
        self.delete(server)

    def opened(self):
        """A server, and a console on which its shell has answered."""
        server = self.boot()
        client = self.serial(server)
        client.send(b'it=ke""pt; echo a""b\n')
        client.wait_for(b'ab\r\n')
        return server, client

    @base.one_nova
    def test_shell_that_the_image_names(self):
        self.image_id = self.add_image(busybox.archive(), 'dd', properties={
            'docker_console': 'sh'})
        self.delete(self.opened()[0])

    @base.one_nova
    def test_suspended(self):
        """The terminal goes on, and a shell beside it ends."""
        server, client = self.opened()
        self.suspend_and_resume(server)
        client.send(b'echo $it\n')
        client.wait_for(b'kept\r\n')
        self.delete(server)

    def suspend_and_resume(self, server):
        if not self.engine.info()['ExperimentalBuild']:
            self.skipTest('CRIU does not work here: tools/engine start '
                          '--checkpoints')
        self.act(server, {'suspend': None}, 'SUSPENDED')
        self.act(server, {'resume': None}, 'ACTIVE')

    @base.one_nova
    def test_shell_suspended(self):
        self.image_id = self.add_image(busybox.archive(), 'dd', properties={
            'docker_console': 'sh'})
        server, client = self.opened()
        self.suspend_and_resume(server)
        client.send(b'echo c""d$it\n')
        client.wait_for(b'cd\r\n')
        self.delete(server)

    @base.one_nova
    def test_none(self):
        self.image_id = self.add_image(busybox.archive(), 'ee')
        server = self.boot()
        error = self.assertRaises(
            api_client.OpenStackApiException, self.address, server, 'serial',
            'serial')
        self.assertEqual(400, error.response.status_code)
        self.delete(server)
