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

"""Servers go to another host and come back, with all that they have."""

import os
import re

from tests.integration.cloud.moves import base

#: Changed in a server; with little more than that on the way.
_SIZE = 50 << 20
CHANGE = ('dd if=/dev/urandom of=/large bs=1M count=50 && ln /large /linked &&'
          ' chown 4000000000:7 /large && rm /bin/false && sync')
LOOK = ('sha256sum < /large; test /large -ef /linked && echo linked; '
        'stat -c %u:%g /large; ls /bin/false; true')


class ColdMigrationTest(base.MovesTestCase):

    def setUp(self):
        super().setUp()
        self.before = self.source.traces()

    def build_all(self):
        """A server with a volume and two ports, and what it has changed."""
        volume = self.volume(metadata={'docker_mount_path': '/data'})
        other, _subnet = self.network_of_its_own('192.0.2.0/24')
        server = self.wait_status(self.on_source('moves', networks=[
            {'uuid': self.network.find_network('private').id},
            {'uuid': other.id}]), 'ACTIVE')
        self.attach(server, volume)
        self.keep(self.source, server, '/data/kept')
        self.run_in(self.source, server, CHANGE)
        os.setxattr(self.inside(self.source, server), b'user.note', b'a\0b')
        return self.compute.get_server(server.id)

    def inside(self, host, server):
        """The large file as the host sees it."""
        pid = host.container(server)['State']['Pid']
        return f'/proc/{pid}/root/large'

    def all_of(self, host, server):
        """What has to be the same on each host."""
        now = self.compute.get_server(server.id)
        return (self.run_in(host, server, LOOK),
                os.getxattr(self.inside(host, server), b'user.note'),
                self.run_in(host, server, 'cat /data/kept'),
                sorted(str(each) for each in now.addresses.items()),
                self.run_in(host, server, 'ip -4 -o addr | cut -d" " -f2-7'),
                now.name, now.attached_volumes)

    def migrate(self, server):
        self.compute.migrate_server(server)
        self.wait_status(server, 'VERIFY_RESIZE')

    def sent(self, server):
        """Bytes that the source says to have sent."""
        found = re.findall(
            f'Sent .* of instance {server.id} to .*: ([0-9]+) bytes',
            self.source.log('nova-compute').read_text())
        return int(found[-1])

    def test_revert_and_confirm(self):
        server = self.build_all()
        expected = self.all_of(self.source, server)
        self.migrate(server)
        self.assertEqual(expected, self.all_of(self.target, server))
        self.assertLess(self.sent(server), 1.1 * _SIZE)
        self.run_in(self.target, server, 'echo changed > /large')
        self.compute.revert_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.assertEqual(expected, self.all_of(self.source, server))
        self.migrate(server)
        self.compute.confirm_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.assertEqual(expected, self.all_of(self.target, server))
        self.assert_nothing_left(self.source, self.before)

    def test_resize(self):
        server = self.wait_status(self.on_source('grows'), 'ACTIVE')
        self.keep(self.source, server)
        flavor = self.compute.find_flavor('m1.tiny')
        self.compute.resize_server(server, flavor)
        self.wait_status(server, 'VERIFY_RESIZE')
        host = self.host_of(server)
        self.assertEqual(flavor.ram << 20, self.memory(host, server))
        self.assert_kept(host, server)
        self.compute.confirm_server_resize(server)
        self.wait_status(server, 'ACTIVE')

    def test_volume(self):
        server = self.wait_status(self.on_source(
            'volume', **self.volume_with()), 'ACTIVE')
        self.keep(self.source, server)
        self.migrate(server)
        self.assert_kept(self.target, server)
        self.compute.revert_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.assert_kept(self.source, server)
