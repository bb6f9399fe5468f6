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

"""Servers that are shelved on one host, and unshelved on another one.

From there, they go where any server can.
"""

from tests.integration.cloud.moves import base as moves_base

#: The first in which an administrator chooses the host.
_TO_A_HOST = '2.91'


class UnshelveTest(moves_base.MovesTestCase):

    def test_on_another_host(self):
        before = self.source.traces()
        data = self.volume(metadata={'docker_mount_path': '/data'})
        servers = [self.wait_status(each, 'ACTIVE') for each in (
            self.on_source('image'),
            self.on_source('volume', **self.volume_with()))]
        self.attach(servers[0], data)
        kept = [(server, '/kept') for server in servers]
        kept.append((servers[0], '/data/kept'))
        for server, path in kept:
            self.keep(self.source, server, path)
        for server in servers:
            self.compute.shelve_server(server)
        for server in servers:
            self.wait_status(server, 'SHELVED_OFFLOADED')
        self.assert_nothing_left(self.source, before)
        for server in servers:
            answer = self.compute.post(
                f'/servers/{server.id}/action', microversion=_TO_A_HOST,
                json={'unshelve': {'host': self.target.name}})
            self.assertTrue(answer.ok, answer.text)
        for server in servers:
            found = self.wait_status(server, 'ACTIVE')
            self.assertEqual(self.target.name, found.hypervisor_hostname)
            self.assertEqual(server.addresses, found.addresses)
        for server, path in kept:
            self.assert_kept(self.target, server, path)
        for server, other in (servers, servers[::-1]):
            self.assert_pings(server, self.addresses(other)[0])
        self.go_back(servers[0])
        for path in '/kept', '/data/kept':
            self.assert_kept(self.source, servers[0], path)

    def go_back(self, server):
        """Migrate it, whose image is in no Glance any more."""
        self.run_in(self.target, server, 'ls /bin/false && rm /bin/false')
        self.compute.migrate_server(server)
        self.wait_status(server, 'VERIFY_RESIZE')
        self.compute.confirm_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.run_in(self.source, server, '! ls /bin/false')
