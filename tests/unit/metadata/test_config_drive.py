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

import os
import stat

import fixtures
from nova.api.metadata import base as instance_metadata
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.metadata import config_drive
from tests.fixtures import privsep


class ConfigDriveTest(test.NoDBTestCase):
    """The files; what Nova has to say in them is Nova's."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.directory = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'config_drive')
        self.metadata = self.useFixture(fixtures.MockPatchObject(
            instance_metadata, 'InstanceMetadata', autospec=True)).mock
        self.metadata.return_value.metadata_for_config_drive.return_value = [
            ('openstack/latest/meta_data.json', b'{}'),
            ('openstack/latest/user_data', b'\0' * 65535),
            ('openstack/content/0000', 'text \u00e9')]

    def ensure(self, *args):
        return config_drive.ensure(
            self.directory, objects.Instance(uuid=uuids.instance), [], *args)

    def test_content(self):
        files = [('/etc/motd', b'x')]
        mount, = self.ensure(files, 'secret')
        self.assertEqual(self.directory, mount['hostPath'])
        self.assertEqual('/var/lib/cloud/seed/config_drive',
                         mount['containerPath'])
        self.assertIn('ro', mount['options'])
        options = self.metadata.call_args.kwargs
        self.assertEqual(files, options['content'])
        self.assertEqual({'admin_pass': 'secret'}, options['extra_md'])
        with open(os.path.join(
                self.directory, 'openstack/latest/user_data'), 'rb') as file:
            self.assertEqual(b'\0' * 65535, file.read())
        path = os.path.join(self.directory, 'openstack/content/0000')
        with open(path, encoding='utf-8') as file:
            self.assertEqual('text \u00e9', file.read())

    def test_for_nobody_else(self):
        self.ensure()
        self.assertEqual(
            0o700, stat.S_IMODE(os.stat(self.directory).st_mode))
        for folder, _, files in os.walk(self.directory):
            for name in files:
                self.assertEqual(0o600, stat.S_IMODE(os.stat(
                    os.path.join(folder, name)).st_mode))

    def test_one_that_is_there_is_kept(self):
        first = self.ensure([('/a', b'')], 'secret')
        self.assertEqual(first, self.ensure())
        self.assertEqual(1, self.metadata.call_count)

    def test_one_that_was_cut_off(self):
        os.makedirs(f'{self.directory}.tmp/openstack')
        self.ensure()
        self.assertEqual(['config_drive'],
                         os.listdir(os.path.dirname(self.directory)))

    def test_required(self):
        def required(config_drive_flag, **properties):
            instance = objects.Instance(
                config_drive=config_drive_flag, launched_at=None,
                image_ref=uuids.image,
                system_metadata={f'image_{name}': value for name, value
                                 in properties.items()})
            return config_drive.required(instance)

        self.assertIs(False, required(''))
        self.assertIs(True, required('True'))
        self.assertIs(True, required('', img_config_drive='mandatory'))
        self.flags(force_config_drive=True)
        self.assertIs(True, required(''))
