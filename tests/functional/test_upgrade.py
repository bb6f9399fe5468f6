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

"""A driver of another version takes over the servers of a host."""

from unittest import mock

from nova_docker import exception
from nova_docker.spec import names
from tests.functional import base


class UpgradeTest(base.FunctionalTestCase):

    def newer(self):
        """Let the driver be one whose labels mean something else."""
        return mock.patch.object(
            names, 'SCHEMA', str(int(names.SCHEMA) + 1))

    def restart(self):
        self.compute = self.restart_compute_service(self.compute)

    def schema(self, server):
        return self.container(server)['Config']['Labels'][names.LABEL_SCHEMA]

    @base.one_nova
    def test_up_and_down(self):
        server = self.boot()
        before = self.container(server)
        with self.newer():
            self.restart()
            now = self.container(server)
            self.assertEqual((before['Id'], before['State']['Pid']),
                             (now['Id'], now['State']['Pid']))
            self.act(server, {'os-stop': {}}, 'SHUTOFF')
            self.act(server, {'os-start': None}, 'ACTIVE')
            self.assertEqual(before['Id'], self.container(server)['Id'])
            # Made anew, it is a container of the newer one.
            self.act(server, {'rebuild': {'imageRef': self.image_id}},
                     'ACTIVE')
            self.assertEqual(names.SCHEMA, self.schema(server))
        running = self.container(server)['State']['Pid']
        error = self.assertRaises(exception.HostUnusable, self.restart)
        self.assertIn(server['id'], str(error))
        self.assertEqual(running, self.container(server)['State']['Pid'])
        with self.newer():
            self.compute = self._start_compute('host1')
            self.delete(server)
        self.restart()
