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


import json
import os
import pathlib
import subprocess
import uuid

import fixtures
from openstack import exceptions

from evalcloud import loops
from evalcloud import settings
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.volumes import base

GIB = 1 << 30


class VolumesTest(base.VolumesTestCase):

    def test_client(self):
        volume = json.loads(subprocess.check_output(
            ['openstack', 'volume', 'create', '--size', '1', '-f', 'json',
             uuid.uuid4().hex]))
        found = self.volumes.get_volume(volume['id'])
        self.addCleanup(self._delete, found, self.volumes.delete_volume)
        found = self.wait_available(found)
        self.assertEqual(settings.VOLUME_TYPES[0], found.volume_type)
        self.assertFalse(found.is_multiattach)

    def test_content(self):
        """It goes from an image through copies of copies into an image."""
        image, data = self._image()
        volume = self.volume(image_id=image.id)
        self.assertTrue(volume.is_bootable)
        clone = self.volume(source_volume_id=volume.id)
        snapshot = self.snapshot(clone)
        copy = self.volume(snapshot_id=snapshot.id, size=2)
        copy = self.extend(copy, 3)
        self.assertEqual(3, copy.size)
        content = self.content(copy)
        self.assertEqual(3 * GIB, content.stat().st_size)
        with content.open('rb') as file:
            self.assertEqual(data, file.read(len(data)))
            self.assertEqual(bytes(1 << 20), file.read(1 << 20))

    def _image(self):
        """An image of random bytes, and these."""
        data = os.urandom(3 << 20)
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (folder / 'image').write_bytes(data)
        image = self.cloud.create_image(
            uuid.uuid4().hex, filename=str(folder / 'image'), wait=True,
            disk_format='raw', container_format='bare')
        self.addCleanup(self.cloud.image.delete_image, image)
        return image, data

    def test_too_small_for_an_image(self):
        image, _data = self._image()
        self.cloud.image.update_image(image, min_disk=2)
        self.assertRaises(exceptions.BadRequestException, self.volume,
                          image_id=image.id)


class ConnectionsTest(base.VolumesTestCase):
    """Cinder's side of attaching, on the back end that hands devices out."""

    def setUp(self):
        super().setUp()
        cloud = settings.load(cloud_base.state_dir())
        if cloud.volumes != 'loop':
            self.skipTest('volumes are no devices of this machine')
        self.folder = cloud.data / 'cinder'

    def _write(self, connection, data):
        with open(connection['device_path'], 'r+b') as device:
            device.write(data)
            os.fsync(device.fileno())

    def _read(self, connection, size):
        with open(connection['device_path'], 'rb') as device:
            return device.read(size)

    def test_written_data_stays(self):
        volume = self.volume()
        with self.device(volume) as connection:
            self.assertEqual('local', connection['driver_volume_type'])
            self._write(connection, b'first')
        self.assertEqual([], loops.of(self.folder))
        snapshot = self.snapshot(volume)
        with self.device(volume) as connection:
            self.assertEqual(b'first', self._read(connection, 5))
            self._write(connection, b'other')
        self.wait_available(volume)
        self.volumes.revert_volume_to_snapshot(volume, snapshot)
        self.wait_available(volume)
        with self.device(volume) as connection:
            self.assertEqual(b'first', self._read(connection, 5))

    def test_extended_while_connected(self):
        volume = self.volume()
        with self.device(volume) as connection:
            self.volumes.extend_volume(volume, 2)

            def size():
                with open(connection['device_path'], 'rb') as device:
                    return device.seek(0, os.SEEK_END)
            self.assert_becomes(2 * GIB, size)

    def test_multiattach(self):
        volume = self.volume(volume_type=settings.VOLUME_TYPES[1])
        self.assertTrue(volume.is_multiattach)
        with self.device(volume) as one:
            with self.device(volume) as other:
                self.assertEqual(one['device_path'], other['device_path'])
                self._write(other, b'both')
            self.assertEqual(b'both', self._read(one, 4))
            self.assertEqual([one['device_path']], loops.of(self.folder))
        self.assertEqual([], loops.of(self.folder))
