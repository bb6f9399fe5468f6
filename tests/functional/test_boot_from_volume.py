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

"""Servers that boot from a volume, by Nova's API."""

import hashlib
import os
import subprocess

import fixtures
from nova.tests import fixtures as nova_fixtures
from nova.tests.fixtures import cinder as cinder_fixture
from nova.volume import cinder as nova_cinder
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.privsep import mounts
from nova_docker.spec import names
from tests import engine_cases
from tests.fixtures import archives
from tests.fixtures import commands
from tests.fixtures import dockerd
from tests.fixtures import loops
from tests.fixtures import volumes
from tests.functional import base
from tests.functional import volumes as volumes_base

VOLUME = cinder_fixture.CinderFixture.IMAGE_BACKED_VOL


class BootTest(volumes_base.VolumesTestCase):

    size = 128 << 20

    def setUp(self):
        self.metadata = {}
        self.useFixture(fixtures.MockPatchObject(
            nova_fixtures.CinderFixture, 'fake_get', self.volume(
                nova_fixtures.CinderFixture.fake_get)))
        self.useFixture(fixtures.MockPatchObject(
            nova_fixtures.CinderFixture, 'fake_reimage_volume',
            lambda cinder, _context, volume_id, image_id, **_options:
            self.reimage(cinder, volume_id, image_id)))
        super().setUp()
        self.connections[VOLUME] = volumes.connection(VOLUME, self.loop.path)
        self.flavor_id = self.admin_api.post_flavor(
            {'flavor': {'name': 'no-disk', 'id': '1002', 'vcpus': 1,
                        'ram': 64, 'disk': 0}})['id']
        self.write(self.image_id)

    def volume(self, original):
        """What Cinder says of the volume."""
        def get(fixture, context, volume_id, microversion=None):
            return original(fixture, context, volume_id, microversion) | {
                'bootable': True, 'display_description': '',
                'volume_image_metadata': self.metadata}
        return get

    def write(self, image_id):
        """What Cinder does to make a volume of an image."""
        image = self.glance.show(None, image_id)
        data = self.glance._imagedata[image_id]
        with open(self.loop.path, 'r+b') as device:
            device.write(data)
        subprocess.run(['sync', self.loop.path], check=True)
        self.metadata = dict(
            image['properties'], image_id=image_id, size=str(len(data)),
            container_format='docker', disk_format='raw',
            checksum=hashlib.md5(data, usedforsecurity=False).hexdigest())

    def reimage(self, cinder, volume_id, image_id):
        self.write(image_id)
        server, = {attachment['instance_uuid'] for attachment in
                   cinder.volume_to_attachment[volume_id].values()}
        self.api.api_post('/os-server-external-events', {'events': [
            {'name': 'volume-reimaged', 'server_uuid': server,
             'tag': volume_id, 'status': 'completed'}]})

    def boot(self, state='ACTIVE', **changes):
        return super().boot(state, **({
            'imageRef': '', 'block_device_mapping_v2': [
                {'boot_index': 0, 'uuid': VOLUME, 'source_type': 'volume',
                 'destination_type': 'volume'}]} | changes))

    def assert_unmounted(self):
        self.assertEqual([], mounts.of([self.loop.path]))

    def keep(self, server):
        """Write what is to be there later."""
        self.console(server)
        self.succeeds(server, 'echo kept > /kept; sync')

    def assert_kept(self, server):
        self.console(server)
        engine_cases.wait_until(
            lambda: self.succeeds(server, 'cat /kept') == 'kept\n')

    def delete(self, server):
        super().delete(server)
        self.assert_unmounted()

    @base.one_nova
    def test_deleted_and_booted_again(self):
        server = self.boot()
        self.keep(server)
        self.delete(server)
        # Its image is gone, from everywhere.
        self.glance.delete(None, self.image_id)
        for image in self.engine.list_images([names.image_prefix('volume')
                                              + '*']):
            self.engine.remove_image(image['Id'])
        second = self.boot(networks='none')
        self.assertNotEqual(server['id'], second['id'])
        self.assert_kept(second)
        self.delete(second)

    def test_over_reboots(self):
        server = self.boot()
        self.keep(server)
        for action in ({'reboot': {'type': 'SOFT'}},
                       {'reboot': {'type': 'HARD'}}):
            self.act(server, action, 'ACTIVE')
            self.assert_kept(server)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assert_kept(server)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        # As a boot of the host does.
        for path in mounts.of([self.loop.path]):
            subprocess.run(['umount', path], check=True)
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.assert_kept(server)
        # And as one who clears a host.
        self.by_hand.remove_container(
            names.container_name(server['id']), force=True)
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assert_kept(server)
        self.delete(server)

    def test_rebuilt(self):
        server = self.boot()
        self.keep(server)
        other = self.add_image(archives.docker25([
            dockerd.busybox_layer(), archives.layer(('other', b''))]), 'bb')
        self.act(server, {'rebuild': {'imageRef': other}}, 'ACTIVE')
        self.console(server)
        self.succeeds(server, 'test -e /other -a ! -e /kept')
        self.delete(server)

    @base.one_nova
    def test_rescued(self):
        server = self.boot()
        self.keep(server)
        # Nova wants them of an image for a server that boots from a volume.
        image = self.add_image(
            self.glance._imagedata[self.image_id], 'cc', properties={
                'hw_rescue_bus': 'virtio', 'hw_rescue_device': 'disk'})
        self.act(server, {'rescue': {'rescue_image_ref': image}}, 'RESCUE')
        self.assertEqual('kept\n', self.output(
            names.rescue_name(server['id']), 'cat /mnt/kept'))
        self.output(names.rescue_name(server['id']),
                    'echo mended > /mnt/mended')
        self.act(server, {'unrescue': {}}, 'ACTIVE')
        self.assert_kept(server)
        self.assertEqual('mended\n', self.succeeds(server, 'cat /mended'))
        self.delete(server)

    def output(self, container, command):
        return commands.run(
            self.by_hand, container, ['sh', '-c', command])[1]

    @base.one_nova
    def test_extended(self):
        server = self.boot()
        os.truncate(self.loop.file, 1 << 30)
        subprocess.run(['losetup', '--set-capacity', self.loop.path],
                       check=True)
        self.api.api_post('/os-server-external-events', {'events': [
            {'name': 'volume-extended', 'server_uuid': server['id'],
             'tag': VOLUME}]})
        engine_cases.wait_until(
            lambda: self.results(server, 'extend_volume') in (
                ['Success'], ['Error']))
        if not loops.has_sys_resource():
            self.assertEqual(['Error'], self.results(server, 'extend_volume'))
            self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
            self.console(server)
        self.assertGreater(int(self.succeeds(
            server, "df -k / | tail -n 1 | awk '{print $2}'")), 900 << 10)
        self.delete(server)

    @base.one_nova
    def test_with_another_volume(self):
        self.loop_2 = self.useFixture(loops.Loop())
        self.connections[uuids.data] = volumes.connection(
            uuids.data, self.loop_2.path)
        server = self.boot(block_device_mapping_v2=[
            {'boot_index': 0, 'uuid': VOLUME, 'source_type': 'volume',
             'destination_type': 'volume'},
            {'boot_index': -1, 'uuid': uuids.data, 'source_type': 'volume',
             'destination_type': 'volume'}])
        self.succeeds(server, 'test -b /dev/vdb -a ! -e /dev/vda')
        self.delete(server)

    @base.one_nova
    def test_refused(self):
        for content, words in ((bytes(1 << 20), 'nothing where it begins'),
                               (b'QFI\xfb\0\0\0\3' + bytes(4088), 'qcow2')):
            with open(self.loop.path, 'r+b') as device:
                device.write(content)
            subprocess.run(['sync', self.loop.path], check=True)
            server = self.boot('ERROR')
            self.assertIn(words, self.fault(server))
            self.assertEqual(content, self.loop.data(len(content)))
            self.delete(server)

    def dirty(self):
        """Whether a copy of the volume has a journal to be replayed."""
        return 'needs_recovery' in subprocess.run(
            ['dumpe2fs', '-h', self.loop.path], check=True,
            capture_output=True, text=True).stdout

    @base.one_nova
    def test_quiesced(self):
        self.metadata['os_require_quiesce'] = 'True'
        server = self.boot()
        seen = []
        take = nova_cinder.API.create_snapshot_force

        def snapshot(_api, *args):
            seen.append((self.dirty(),
                         self.container(server)['State']['Status']))
            return take(*args)

        self.useFixture(fixtures.MockPatchObject(
            nova_cinder.API, 'create_snapshot_force', snapshot))
        self.assertTrue(self.dirty())
        self.act(server, {'createImage': {'name': 'snapshot'}}, 'ACTIVE')
        self.assertEqual([(False, 'paused')], seen)
        self.keep(server)
        self.assertEqual('running',
                         self.container(server)['State']['Status'])
        self.delete(server)
