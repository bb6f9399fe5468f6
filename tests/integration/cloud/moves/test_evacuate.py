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

"""A host dies, its servers are evacuated, and it comes back."""

import subprocess

from tests.integration.cloud import base
from tests.integration.cloud.moves import base as moves_base

#: The last in which an evacuated server is what it was, ACTIVE or not; from
#: the next on it is stopped.
_AS_IT_WAS = '2.94'
_STOPPED = '2.95'


class EvacuateTest(moves_base.MovesTestCase):

    def setUp(self):
        super().setUp()
        self.before = self.source.traces()

    def dies(self):
        """The source dies, which the administrator tells Nova."""
        self.crash()
        self.compute.update_service_forced_down(self.service, forced=True)
        base.wait_for('down', lambda: self.compute_is('down'))

    def evacuate(self, server, microversion, *options):
        """As an administrator does; the server as it is then."""
        subprocess.check_call([
            'openstack', '--os-compute-api-version', microversion, 'server',
            'evacuate', *options, server.id])
        status = 'SHUTOFF' if microversion == _STOPPED else 'ACTIVE'
        base.wait_for(f'{server.name} elsewhere', lambda: (
            self.compute.get_server(server.id).hypervisor_hostname ==
            self.target.name), 120)
        return self.wait_status(server, status)

    def assert_same(self, before, server):
        """The server is what it was, but for its host."""
        for key in ('addresses', 'availability_zone', 'flavor', 'image',
                    'attached_volumes', 'name', 'security_groups'):
            self.assertEqual(getattr(before, key), getattr(server, key))
        for address in self.addresses(server):
            self.assert_pings(self.neighbour, address)

    def returns(self):
        """The source is back, and has nothing of the servers."""
        self.boot()
        self.assert_nothing_left(self.source, self.before)
        self.assert_becomes({'completed'}, lambda: {
            each.status for each in self.compute.migrations(
                migration_type='evacuation', host=self.source.name)})

    def test_all_kinds(self):
        group = self.compute.create_server_group(
            name=self.id()[-200:], policy='soft-affinity')
        self.addCleanup(self.compute.delete_server_group, group)
        data = self.volume(metadata={'docker_mount_path': '/data'})
        self.neighbour = self.build(
            'neighbour', availability_zone=f'nova:{self.target.name}')
        built = [
            self.on_source('image', scheduler_hints={'group': group.id}),
            self.on_source('volume', **self.volume_with())]
        self.neighbour, image, volume = [
            self.wait_status(each, 'ACTIVE')
            for each in (self.neighbour, *built)]
        public = self.floating_ip(image)
        self.attach(image, data)
        for server, path in ((image, '/kept'), (image, '/data/kept'),
                             (volume, '/kept')):
            self.keep(self.source, server, path)
        image, volume = [self.compute.get_server(each.id)
                         for each in (image, volume)]
        self.dies()
        self.assert_same(image, self.evacuate(image, _AS_IT_WAS))
        self.assertNotEqual(0, self.target.execute(
            image, 'test', '-e', '/kept')[0])
        self.assert_kept(self.target, image, '/data/kept')
        self.assert_serves(public, f'{image.name}\n')
        self.assertEqual([image.id], self.compute.get_server_group(
            group).member_ids)
        self.evacuate(volume, _STOPPED, '--host', self.target.name)
        self.compute.start_server(volume)
        self.assert_same(volume, self.wait_status(volume, 'ACTIVE'))
        self.assert_kept(self.target, volume)
        self.returns()
        # What the source did has reached neither of them.
        for server, path in ((image, '/data/kept'), (volume, '/kept')):
            self.assert_kept(self.target, server, path)
            self.keep(self.target, server, path)
        for server in (image, volume):
            with self.another_start(server):
                self.compute.reboot_server(server, 'HARD')
        for server, path in ((image, '/data/kept'), (volume, '/kept')):
            self.assert_kept(self.target, server, path)
