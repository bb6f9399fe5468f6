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

"""Servers that are sent to a host by its name, or confirmed by nobody."""

import socket
import subprocess

from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.moves import base

#: The first in which an administrator chooses the host.
_TO_A_HOST = '2.56'


class MigrateHostTest(base.MovesTestCase):

    def migrate(self, server):
        """To the target, as an administrator does."""
        subprocess.check_call([
            'openstack', '--os-compute-api-version', _TO_A_HOST, 'server',
            'migrate', '--host', self.target.name, server.id])

    def moves(self, server):
        """Nova's list of them, the first one first."""
        found = self.compute.migrations(instance_uuid=server.id)
        return [(each.migration_type, each.status, each.source_compute,
                 each.dest_compute)
                for each in sorted(found, key=lambda each: each.id)]

    def guarded(self):
        """Options of a server that lets in nothing but HTTP, and its group."""
        inbound = self.security_group()
        self.allow(inbound, protocol='tcp', port_range_min=80,
                   port_range_max=80)
        apart = self.compute.create_server_group(
            name=self.id()[-200:], policy='anti-affinity')
        self.addCleanup(self.compute.delete_server_group, apart)
        return {'security_groups': [{'name': inbound.name}],
                'scheduler_hints': {'group': apart.id}}

    def assert_guarded(self, host, server, address):
        self.assertEqual(host.name, self.host_of(server).name)
        self.assert_serves(address, f'{server.name}\n')
        # What is not let in is dropped: else it were refused.
        self.assertRaises(TimeoutError, socket.create_connection,
                          (address, 81), 3)

    @cloud_base.long_only
    def test_to_a_host(self):
        options = self.guarded()
        one, other = [self.wait_status(each, 'ACTIVE') for each in (
            self.on_source('one', **options),
            self.build('other', availability_zone=f'nova:{self.target.name}',
                       scheduler_hints=options['scheduler_hints']))]
        address = self.floating_ip(one)
        self.keep(self.source, one)
        before = self.container(one)['State']
        self.migrate(one)
        self.assert_becomes(['Error'], lambda: [
            each.message for each in self.compute.server_actions(one)
            if each.action == 'migrate'])
        self.wait_status(one, 'ACTIVE')
        self.assertEqual(before, self.container(one)['State'])
        self.delete(other)
        self.migrate(one)
        self.wait_status(one, 'VERIFY_RESIZE')
        self.assert_guarded(self.target, one, address)
        self.compute.revert_server_resize(one)
        self.wait_status(one, 'ACTIVE')
        self.assert_guarded(self.source, one, address)
        self.assert_kept(self.source, one)
        self.assertEqual(
            ('migration', 'reverted', self.source.name, self.target.name),
            self.moves(one)[-1])

    def test_stopped_and_confirmed_by_itself(self):
        self.configure(self.target, 'resize_confirm_window = 1')
        self.target.kill('nova-compute')
        server = self.wait_status(self.on_source(
            'volume', **self.volume_with()), 'ACTIVE')
        self.keep(self.source, server)
        self.compute.stop_server(server)
        self.wait_status(server, 'SHUTOFF')
        flavor = self.compute.find_flavor('m1.tiny')
        self.compute.resize_server(server, flavor)
        # Nova looks once in a minute.
        self.assert_becomes(
            [('resize', 'confirmed', self.source.name, self.target.name)],
            lambda: self.moves(server), 240)
        self.wait_status(server, 'SHUTOFF')
        self.compute.start_server(server)
        self.wait_status(server, 'ACTIVE')
        self.assertEqual(flavor.ram << 20, self.memory(self.target, server))
        self.assert_kept(self.target, server)
