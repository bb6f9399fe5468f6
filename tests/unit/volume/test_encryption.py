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

"""Encrypted volumes, with os-brick's encryptors replaced."""

import os
from unittest import mock

import fixtures
from nova import exception
from nova import test
from nova.volume import cinder
from os_brick import encryptors

from nova_docker.spec import volumes
from nova_docker.volume import encryption

HOW = {'control_location': 'front-end', 'provider': 'luks', 'cipher': 'aes'}


class EncryptionTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(directory, 'link')
        os.symlink('/dev/sdb', self.path)
        self.volume = volumes.Volume(
            'v', '/dev/vdb', {'driver_volume_type': 'iscsi', 'data': {
                'encrypted': True}}, HOW, info={'path': self.path})
        self.keymgr = self.useFixture(fixtures.MockPatchObject(
            encryption.key_manager, 'API', autospec=True)).mock
        self.get = self.useFixture(fixtures.MockPatchObject(
            encryptors, 'get_volume_encryptor', autospec=True)).mock

    def test_attach(self):
        encryption.attach(mock.sentinel.context, self.volume)
        self.get.assert_called_once_with(
            root_helper=mock.ANY, connection_info={
                'driver_volume_type': 'iscsi', 'data': {
                    'encrypted': True, 'device_path': self.path}},
            keymgr=self.keymgr.return_value, **HOW)
        self.get.return_value.attach_volume.assert_called_once_with(
            mock.sentinel.context, **HOW)
        # Nothing of it gets into what is kept.
        self.assertNotIn('device_path', self.volume.connection['data'])

    def test_no_link(self):
        os.unlink(self.path)
        with open(self.path, 'w'):
            pass
        self.assertRaises(exception.VolumeEncryptionNotSupported,
                          encryption.attach, None, self.volume)
        self.get.assert_not_called()

    def test_detach_and_extend(self):
        encryption.detach(self.volume)
        self.get.return_value.detach_volume.assert_called_once_with(**HOW)
        encryption.extend(mock.sentinel.context, self.volume)
        self.get.return_value.extend_volume.assert_called_once_with(
            mock.sentinel.context, **HOW)

    def test_metadata(self):
        with mock.patch.object(
                cinder.API, 'get_volume_encryption_metadata', autospec=True,
                return_value=HOW):
            self.assertEqual(HOW, encryption.metadata(
                None, 'v', {'data': {'encrypted': True}}))
            self.assertEqual({}, encryption.metadata(None, 'v', {'data': {}}))
