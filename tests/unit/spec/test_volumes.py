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

"""Records of volumes and device nodes."""

import dataclasses
import json

from oslotest import base

from nova_docker.spec import volumes

VOLUME = volumes.Volume(
    'v', '/dev/vdb', {'data': {'access_mode': 'rw'}}, {}, volumes.ATTACHED,
    {'path': '/dev/disk/by-id/x'}, '/dev/sdb', 8, 16, 'boot')


class VolumeTest(base.BaseTestCase):

    def test_there_and_back(self):
        plain = json.loads(json.dumps(VOLUME.to_dict()))
        self.assertEqual(VOLUME, volumes.Volume.from_dict(plain))

    def test_access(self):
        self.assertEqual('rwm', VOLUME.access)
        read_only = dataclasses.replace(
            VOLUME, connection={'data': {'access_mode': 'ro'}})
        self.assertTrue(read_only.read_only)
        self.assertEqual('r', read_only.access)
        self.assertFalse(dataclasses.replace(VOLUME, connection={}).read_only)

    def test_shared(self):
        self.assertFalse(VOLUME.shared)
        self.assertTrue(dataclasses.replace(
            VOLUME, connection={'multiattach': True}).shared)


class DeviceNodesTest(base.BaseTestCase):

    def test_nodes(self):
        self.assertEqual(
            [{'path': '/dev/vdb', 'hostPath': '/dev/sdb', 'type': 'b',
              'uid': 0, 'gid': 6, 'fileMode': 0o660, 'permissions': 'rwm'}],
            volumes.device_nodes([VOLUME]))

    def test_only_of_those_that_are_there(self):
        self.assertEqual([], volumes.device_nodes([
            dataclasses.replace(VOLUME, path=''),
            dataclasses.replace(VOLUME, state=volumes.DETACHING)]))


class MountTest(base.BaseTestCase):

    def test_mounts(self):
        mounted = dataclasses.replace(VOLUME, mount_path='/data')
        self.assertEqual([], volumes.mounts([VOLUME], '/mounted'))
        self.assertEqual([], volumes.device_nodes([mounted]))
        self.assertEqual(
            [{'hostPath': '/mounted/v', 'containerPath': '/data',
              'type': 'bind', 'options': ['bind', 'rw', 'nosuid', 'nodev']}],
            volumes.mounts([mounted], '/mounted'))

    def test_who_decides(self):
        metadata = {'docker_mount_path': '/of/the/volume'}
        image = {'volume_mount_path': '/of/the/image'}
        flavor = {'docker:volume_mount_path': '/mnt/{device}'}
        for choices, path in (
                ((metadata, image, flavor), '/of/the/volume'),
                (({}, image, flavor), '/of/the/image'),
                (({}, {}, flavor), '/mnt/vdb'),
                (({'docker_mount_path': ''}, image, flavor), ''),
                (({}, {}, {}), '')):
            self.assertEqual(path, volumes.mount_path('/dev/vdb', *choices))

    def test_places(self):
        for path in ('data', '/', '//', '/a/', '/a/../b', '/proc', '/sys/fs',
                     '/dev/x', '/etc', '/etc/hosts', '/var/lib', '/a\nb',
                     f'/{"a" * 300}'):
            self.assertRaises(ValueError, volumes.mount_path, '/dev/vdb',
                              {'docker_mount_path': path}, {}, {})


class IsDeviceTest(base.BaseTestCase):

    def test_names(self):
        for name in ('/dev/vdb', '/dev/sda1', '/dev/xvdz', '/dev/vdaa'):
            self.assertTrue(volumes.is_device(name), name)
        for name in ('/dev/null', '/dev/tty', '/dev/../x', '/dev/a/b', '',
                     'vdb', '/dev/', '/dev/vdb ', '/dev/VDB', None, 1,
                     '/dev/' + 'v' * 32):
            self.assertFalse(volumes.is_device(name), name)
