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

"""Volumes, by Nova's API; Nova's fixture stands for Cinder."""

import os
import subprocess

import fixtures
from nova import context as nova_context
from nova import objects
from nova.tests import fixtures as nova_fixtures
from nova.volume import cinder as nova_cinder
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import records
from nova_docker.spec import names
from nova_docker.spec import volumes as spec
from nova_docker.volume import filesystem
from tests import engine_cases
from tests.fixtures import loops
from tests.fixtures import volumes
from tests.functional import volumes as volumes_base

WRITE = 'test -b /dev/vdb && echo kept | dd of=/dev/vdb conv=fsync'
READ = 'head -n 1 /dev/vdb'


class VolumesTest(volumes_base.VolumesTestCase):

    def attach(self, server, volume=uuids.volume, **changes):
        self.api.post_server_volume(
            server['id'], {'volumeAttachment': {'volumeId': volume} | changes})
        engine_cases.wait_until(lambda: [
            each.state for each in records.read(self.state_dir, server['id'])
            if each.id == volume] == [spec.ATTACHED])

    def detach(self, server, volume=uuids.volume):
        self.api.delete_server_volume(server['id'], volume)
        self._wait_for_volume_detach(server['id'], volume)

    def assert_kept(self, server):
        self.console(server)
        # An engine loses what a command printed that has ended at once.
        engine_cases.wait_until(
            lambda: self.succeeds(server, READ) == 'kept\n')

    def assert_absent(self, server):
        self.assertNotEqual(0, self.run_in(server, 'ls /dev/vdb')[0])
        self.assertEqual([], records.read(self.state_dir, server['id']))

    def test_running(self):
        server = self.boot()
        self.attach(server, tag='data')
        self.succeeds(server, WRITE)
        instance = objects.Instance.get_by_uuid(
            nova_context.get_admin_context(), server['id'],
            expected_attrs=['device_metadata'])
        device, = instance.device_metadata.devices
        self.assertEqual((uuids.volume, '/dev/vdb', ['data']),
                         (device.serial, device.path, device.tags))
        for action in ({'reboot': {'type': 'SOFT'}},
                       {'reboot': {'type': 'HARD'}},
                       {'rebuild': {'imageRef': self.image_id}}):
            self.act(server, action, 'ACTIVE')
            self.assert_kept(server)
        self.detach(server)
        self.assert_absent(server)
        second = self.boot(networks='none')
        self.attach(second)
        self.assert_kept(second)
        for each in (server, second):
            self.api.delete_server(each['id'])
            self._wait_until_deleted(each)
        self.assert_nothing_left()

    def test_paused_and_stopped(self):
        server = self.boot()
        self.act(server, {'pause': {}}, 'PAUSED')
        self.attach(server)
        self.act(server, {'unpause': {}}, 'ACTIVE')
        self.succeeds(server, WRITE)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.detach(server)
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assert_absent(server)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.attach(server)
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assert_kept(server)
        self.delete(server)

    def test_from_the_first_start(self):
        server = self.boot(block_device_mapping_v2=[
            {'boot_index': 0, 'uuid': self.image_id, 'source_type': 'image',
             'destination_type': 'local'},
            {'boot_index': -1, 'uuid': uuids.volume, 'source_type': 'volume',
             'destination_type': 'volume'}])
        self.succeeds(server, WRITE)
        self.engine.stop_container(names.container_name(server['id']), 0)
        self._wait_for_server_parameter(server, {
            'status': 'SHUTOFF', 'OS-EXT-STS:task_state': None})
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assert_kept(server)
        self.detach(server)
        self.assert_absent(server)
        self.delete(server)

    def test_in_use(self):
        server = self.boot()
        self.attach(server)
        self.succeeds(server, 'sleep 999 < /dev/vdb > /dev/null 2>&1 &')
        engine_cases.wait_until(lambda: self.succeeds(
            server, 'ls -l /proc/[0-9]*/fd').count('/dev/vdb'))
        self.api.delete_server_volume(server['id'], uuids.volume)
        engine_cases.wait_until(
            lambda: self.results(server, 'detach_volume') == ['Error'])
        self.succeeds(server, WRITE)
        self.assertEqual(
            ['/dev/vdb'], [each['device'] for each in
                           self.api.get_server_volumes(server['id'])])
        self.succeeds(server, 'kill $(pidof sleep) || true')
        self.delete(server)

    def test_extended(self):
        """To the size that the fixture has of all volumes."""
        server = self.boot()
        self.attach(server)
        os.truncate(self.loop.file, 1 << 30)
        subprocess.run(['losetup', '--set-capacity', self.loop.path],
                       check=True)
        self.api.api_post('/os-server-external-events', {'events': [
            {'name': 'volume-extended', 'server_uuid': server['id'],
             'tag': uuids.volume}]})
        engine_cases.wait_until(
            lambda: self.results(server, 'extend_volume') == ['Success'])
        self.succeeds(
            server, 'dd if=/dev/zero of=/dev/vdb bs=1M seek=1023 count=1')
        self.delete(server)

    def migrated(self, server):
        """What Cinder does to have a volume on another storage.

        The new one has the old one's id at the end.
        """
        get = nova_cinder.API.get
        self.useFixture(fixtures.MockPatchObject(
            nova_cinder.API, 'get', lambda _api, *args, **options:
            get(*args, **options) | {'migration_status': 'migrating'}))

        def complete(_api, _context, old, new, error):
            if not error:
                self.connections[old] = volumes.connection(
                    old, self.new.path)
            return {'save_volume_id': old}

        self.useFixture(fixtures.MockPatchObject(
            nova_cinder.API, 'migrate_volume_completion', complete))
        self.connections[uuids.new] = volumes.connection(
            uuids.new, self.new.path)
        self.admin_api.put_server_volume(server['id'], uuids.volume,
                                         uuids.new)

    def test_migrated(self):
        self.new = self.useFixture(loops.Loop(self.size * 2))
        server = self.boot()
        self.attach(server)
        self.succeeds(server, WRITE)
        self.migrated(server)
        engine_cases.wait_until(
            lambda: self.results(server, 'swap_volume') == ['Success'])
        self.assert_kept(server)
        self.assertEqual(b'kept', self.new.data(4))
        self.succeeds(server, f'test $(wc -c < /dev/vdb) = {self.new.size}')
        # Nobody has the old one any more.
        os.close(os.open(self.loop.path, os.O_RDWR | os.O_EXCL))
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assert_kept(server)
        self.detach(server)
        self.assert_absent(server)
        os.close(os.open(self.new.path, os.O_RDWR | os.O_EXCL))
        self.delete(server)

    def test_migrated_and_detached(self):
        self.new = self.useFixture(loops.Loop())
        server = self.boot()
        self.attach(server)
        self.migrated(server)
        engine_cases.wait_until(
            lambda: self.results(server, 'swap_volume') == ['Success'])
        self.detach(server)
        self.assert_absent(server)
        self.delete(server)

    def test_migrated_while_it_is_in_use(self):
        self.new = self.useFixture(loops.Loop())
        server = self.boot()
        self.attach(server)
        self.succeeds(server, WRITE)
        self.succeeds(server, 'sleep 999 < /dev/vdb > /dev/null 2>&1 &')
        self.migrated(server)
        engine_cases.wait_until(
            lambda: self.results(server, 'swap_volume') == ['Error'])
        self.assert_kept(server)
        self.assertEqual(bytes(4), self.new.data(4))
        os.close(os.open(self.new.path, os.O_RDWR | os.O_EXCL))
        self.delete(server)

    def test_migrated_mounted(self):
        """To a larger one, as XFS, which grows also where ext4 must not."""
        self.loop = self.useFixture(loops.Loop(32 << 20))
        self.connections[uuids.volume] = volumes.connection(
            uuids.volume, self.loop.path)
        subprocess.run(['mkfs.xfs', '-q', '--unsupported', self.loop.path],
                       check=True)
        self.new = self.useFixture(loops.Loop(64 << 20))
        self.admin_api.post_extra_spec(self.flavor_id, {'extra_specs': {
            'docker:volume_mount_path': '/a/{device}'}})
        server = self.boot()
        self.attach(server)
        self.succeeds(server, 'echo kept > /a/vdb/file')
        self.migrated(server)
        engine_cases.wait_until(
            lambda: self.results(server, 'swap_volume') == ['Success'])
        self.succeeds(server, 'grep kept /a/vdb/file && echo more > /a/vdb/b')
        self.assertGreater(int(self.succeeds(
            server, "df -k /a/vdb | tail -n 1 | awk '{print $2}'")), 40 << 10)
        os.close(os.open(self.loop.path, os.O_RDWR | os.O_EXCL))
        self.detach(server)
        os.close(os.open(self.new.path, os.O_RDWR | os.O_EXCL))
        self.delete(server)

    def test_in_two_servers(self):
        shared = nova_fixtures.CinderFixture.MULTIATTACH_VOL
        self.connections[shared] = volumes.connection(shared, self.loop.path)
        server, second = self.boot(), self.boot(networks='none')
        for each in (server, second):
            self.attach(each, shared)
        self.succeeds(server, WRITE)
        self.assert_kept(second)
        self.detach(server, shared)
        self.assert_kept(second)
        for each in (server, second):
            self.api.delete_server(each['id'])
            self._wait_until_deleted(each)
        self.assert_nothing_left()

    def test_mounted(self):
        """As its metadata says, of which the fixture has none."""
        self.useFixture(fixtures.MockPatchObject(
            filesystem, 'metadata', lambda *_: {
                'docker_mount_path': '/data/it'}))
        server = self.boot()
        self.attach(server)
        self.succeeds(server, 'echo kept > /data/it/file')
        self.assertNotEqual(0, self.run_in(server, 'ls /dev/vdb')[0])
        for action in ({'reboot': {'type': 'SOFT'}},
                       {'reboot': {'type': 'HARD'}},
                       {'rebuild': {'imageRef': self.image_id}}):
            self.act(server, action, 'ACTIVE')
            self.succeeds(server, 'grep kept /data/it/file')
        self.succeeds(server, 'cd /data/it; sleep 999 > /dev/null 2>&1 &')
        self.api.delete_server_volume(server['id'], uuids.volume)
        engine_cases.wait_until(
            lambda: self.results(server, 'detach_volume') == ['Error'])
        self.succeeds(server, 'grep kept /data/it/file; kill $(pidof sleep)')
        self.detach(server)
        self.succeeds(server, 'test ! -e /data/it/file')
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.attach(server)
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.succeeds(server, 'grep kept /data/it/file')
        self.delete(server)

    def test_deleted_with_a_volume(self):
        server = self.boot()
        self.attach(server)
        self.delete(server)
