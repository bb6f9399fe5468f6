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

"""Root disks of the size in the flavor, by file systems under the layers."""

import os
import subprocess

from nova import context
from nova import objects

from nova_docker.engine import errors
from nova_docker.spec import names
from tests import engine_cases
from tests.fixtures import busybox
from tests.functional import base

#: Tells what it finds of its first run, and fills the disk.
FILL = ('sh -c "cat /kept; dd if=/dev/zero of=/full bs=1M count=2048; '
        'rm /full; echo kept > /kept; echo ready; '
        'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"')
#: Tells the size of its disk, and that it ran before.
GROWS = ('sh -c "df -m /; cat /kept; echo kept > /kept; echo ready; '
         'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"')
#: Counts its runs on the ephemeral disk.
EPHEMERAL = ('sh -c "df -m; echo x >> /mnt/ephemeral0/count; '
             'echo runs: $(wc -l < /mnt/ephemeral0/count); echo ready; '
             'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"')
#: Fills the ephemeral disk, and writes beside it.
FILL_EPHEMERAL = (
    'sh -c "dd if=/dev/zero of=/mnt/ephemeral0/full bs=1M count=2048; '
    'rm /mnt/ephemeral0/full; echo kept > /kept && echo ready; '
    'trap \'exit 0\' TERM; while :; do sleep 1 & wait $!; done"')


class DisksTest(base.FunctionalTestCase):

    def image(self, server):
        """The file of the server's disk."""
        return os.path.join(self.state_dir, 'disks', server['id'],
                            f'root-{self.container(server)["Id"]}')

    def layer(self, server):
        """The engine's directory of the server's writable layer."""
        return os.path.dirname(
            self.container(server)['GraphDriver']['Data']['UpperDir'])

    @base.one_nova
    def test_full(self):
        """What is written beyond the size fails, and nothing else does."""
        self.image_id = self.add_image(
            busybox.archive(), 'bb', properties={'os_command_line': FILL})
        server = self.boot()
        output = self.console(server, 'ready')
        self.assertIn('No space left on device', output)
        self.assertRegex(output, r'9\d\d\+0 records out')
        self.assertIn('ready', output)
        # What it removed again is the host's again.
        engine_cases.wait_until(
            lambda: os.stat(self.image(server)).st_blocks * 512 < 200 << 20)
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertIn('kept', self.console(server, 'kept'))
        self.delete(server)

    def test_traits_and_inventory(self):
        self._run_periodics()
        self.assertIn('CUSTOM_DOCKER_ROOT_DISK_FILESYSTEM',
                      self._get_provider_traits(
                          self._get_provider_uuid_by_host('host1')))

    @base.one_nova
    def test_without_its_mount(self):
        """As after a boot of the host: only Nova starts it."""
        server = self.boot()
        self.console(server)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        subprocess.run(['umount', self.layer(server)], check=True)
        self.assertEqual({'link', 'lower'}, set(os.listdir(
            self.layer(server))) & {'link', 'lower', 'diff', 'work'})
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          names.container_name(server['id']), 60)
        self.assertEqual(set(), self.loops())
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assertEqual({self.image(server)}, self.loops())
        self.delete(server)

    @base.one_nova
    def test_snapshot_without_its_mount(self):
        server = self.boot()
        self.console(server)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        subprocess.run(['umount', self.layer(server)], check=True)
        self.api.post_server_action(server['id'], {'createImage': {
            'name': 'snapshot'}})
        self._wait_for_server_parameter(server, {
            'OS-EXT-STS:task_state': None})
        self.delete(server)

    @base.one_nova
    def test_removed_by_hand(self):
        """Running or stopped, mounted or not: a hard reboot makes it anew."""
        server = self.boot()
        for state in ('running', 'stopped', 'unmounted'):
            self.console(server)
            name = names.container_name(server['id'])
            if state != 'running':
                self.act(server, {'os-stop': {}}, 'SHUTOFF')
            if state == 'unmounted':
                subprocess.run(['umount', self.layer(server)], check=True)
            self.engine.remove_container(name)
            self._wait_for_server_parameter(server, {
                'OS-EXT-STS:task_state': None})
            self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
            self.assertEqual({self.image(server)}, self.loops())
            self.assertEqual([os.path.basename(self.image(server))],
                             os.listdir(os.path.dirname(self.image(server))))
        self.engine.remove_container(name)
        self.delete(server)

    def test_grows(self):
        """With the flavor, at the next start; its files stay."""
        self.image_id = self.add_image(
            busybox.archive(), 'bb', properties={'os_command_line': GROWS})
        server = self.boot()
        self.assertRegex(self.console(server), r'overlay +9\d\d ')
        # As Nova does in a resize.
        instance = objects.Instance.get_by_uuid(
            context.get_admin_context(), server['id'],
            expected_attrs=['flavor'])
        instance.flavor.root_gb = 2
        instance.save()
        self.act(server, {'reboot': {'type': 'SOFT'}}, 'ACTIVE')
        output = self.console(server, 'kept')
        self.assertRegex(output, r'overlay +19\d\d ')
        self.delete(server)

    def test_ephemeral(self):
        """Of its size, and kept by a rebuild that preserves it."""
        self.image_id = self.add_image(
            busybox.archive(), 'bb',
            properties={'os_command_line': EPHEMERAL})
        self.flavor_id = self.admin_api.post_flavor({'flavor': {
            'name': 'both', 'id': '1003', 'vcpus': 1, 'ram': 64, 'disk': 1,
            'OS-FLV-EXT-DATA:ephemeral': 2}})['id']
        server = self.boot()
        output = self.console(server)
        self.assertRegex(output, r' 19\d\d .* /mnt/ephemeral0')
        self.assertNotIn('runs: 2', output)
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertIn('runs: 2', self.console(server, 'runs: 2'))
        for preserve, runs in ((True, 'runs: 3'), (False, 'runs: 1')):
            self.act(server, {'rebuild': {
                'imageRef': self.image_id, 'preserve_ephemeral': preserve}},
                'ACTIVE')
            self.assertIn(runs, self.console(server, runs))
        # As after a boot of the host.
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        for path in self.ephemeral_mounts():
            subprocess.run(['umount', path], check=True)
        self.assertRaises(errors.ApiError, self.engine.start_container,
                          names.container_name(server['id']), 60)
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assertIn('runs: 2', self.console(server, 'runs: 2'))
        self.delete(server)

    @base.one_nova
    def test_full_ephemeral(self):
        self.image_id = self.add_image(
            busybox.archive(), 'bb',
            properties={'os_command_line': FILL_EPHEMERAL})
        self.flavor_id = self.admin_api.post_flavor({'flavor': {
            'name': 'both', 'id': '1003', 'vcpus': 1, 'ram': 64, 'disk': 1,
            'OS-FLV-EXT-DATA:ephemeral': 1}})['id']
        server = self.boot()
        output = self.console(server, 'ready')
        self.assertIn('No space left on device', output)
        self.assertRegex(output, r'9\d\d\+0 records out')
        self.delete(server)

    def ephemeral_mounts(self):
        with open('/proc/self/mounts') as mounts:
            return [line.split()[1] for line in mounts
                    if f'{self.state_dir}/disks' in line]

    @base.one_nova
    def test_no_disk_of_its_own(self):
        self.flavor_id = self.admin_api.post_flavor({'flavor': {
            'name': 'none', 'id': '1002', 'vcpus': 1, 'ram': 64,
            'disk': 0}})['id']
        self.api = self.admin_api
        server = self.boot()
        self.assertEqual(set(), self.loops())
        self.delete(server)

    @base.one_nova
    def test_busy_mount(self):
        """Somebody on the host is in it; it goes when they do."""
        server = self.boot()
        self.console(server)
        holder = subprocess.Popen(['sleep', '1000'], cwd=self.layer(server))
        self.addCleanup(holder.kill)
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)
        holder.kill()
        holder.wait()
        engine_cases.wait_until(lambda: not self.loops())
        self.assert_nothing_left()
