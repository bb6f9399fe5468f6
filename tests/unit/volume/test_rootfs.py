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

import fixtures
from nova import exception
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import rootfs as privileged
from nova_docker.volume import rootfs
from tests.fixtures import archives
from tests.fixtures import engine

#: What ctr of containerd 1.7 prints.
CTR = ('mount -t overlay overlay /mnt -o index=off,workdir=/c/3/work,'
       'upperdir=/c/3/fs,lowerdir=/c/2/fs:/c/1/fs\n')


class MountTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.engine.load_image([archives.docker25(
            [archives.layer(('bin/sh', b'#!'))], tags=['image:1'])])
        self.container = self.engine.create_container(
            'original', {'Image': 'image:1'})
        self.directories = self.patch('are_directories', True)
        self.short_names = self.patch('short_names', ['l/A', 'l/B'])
        self.snapshot_mounts = self.patch('snapshot_mounts', CTR)

    def patch(self, name, value):
        return self.useFixture(fixtures.MockPatchObject(
            privileged, name, autospec=True, return_value=value)).mock

    def mount(self):
        return rootfs.mount(self.engine, self.container, '/mnt')

    def refused(self, text):
        error = self.assertRaises(exception.Invalid, self.mount)
        self.assertIn(text, error.format_message())

    def test_classic_store(self):
        layers = f'/layers/{self.container}'
        self.assertEqual(
            {'hostPath': 'overlay', 'containerPath': '/mnt',
             'type': 'overlay', 'options': [
                 'lowerdir=/layers/l/A:/layers/l/B',
                 f'upperdir={layers}/diff', f'workdir={layers}/work',
                 'index=off']}, self.mount())
        self.short_names.assert_called_once_with(layers)
        self.directories.assert_called_once_with(
            [f'{layers}/diff', f'{layers}/work'])

    def test_without_short_names(self):
        self.short_names.side_effect = OSError('absent')
        self.assertEqual(
            f'lowerdir=/layers/{self.container}-init/diff:/layers/image/diff',
            self.mount()['options'][0])

    def test_classic_store_that_does_not_tell(self):
        found = self.engine.inspect_container(self.container)
        found['GraphDriver']['Data'] = None
        self.useFixture(fixtures.MockPatchObject(
            self.engine, 'inspect_container', return_value=found))
        self.refused('does not tell')

    def test_containerd_store(self):
        self.engine.details |= {'Driver': 'overlayfs', 'Containerd': {
            'Address': '/x.sock', 'Namespaces': {'Containers': 'other'}}}
        self.assertEqual(
            ['lowerdir=/c/2/fs:/c/1/fs', 'upperdir=/c/3/fs',
             'workdir=/c/3/work', 'index=off'], self.mount()['options'])
        self.snapshot_mounts.assert_called_once_with(
            '/x.sock', 'other', self.container)

    def test_containerd_of_an_engine_that_does_not_tell(self):
        self.engine.details['Driver'] = 'overlayfs'
        self.mount()
        self.snapshot_mounts.assert_called_once_with(
            '/run/containerd/containerd.sock', 'moby', self.container)

    def test_containerd_cannot_be_asked(self):
        self.engine.details['Driver'] = 'overlayfs'
        for error in (FileNotFoundError('no ctr'),
                      processutils.ProcessExecutionError('no socket')):
            self.snapshot_mounts.side_effect = error
            self.refused('/run/containerd/containerd.sock')
        self.snapshot_mounts.side_effect = None
        self.snapshot_mounts.return_value = 'mount -t bind /c/1/fs /mnt'
        self.refused('no layers')

    def test_other_storage_driver(self):
        self.engine.details['Driver'] = 'btrfs'
        self.refused('storage driver btrfs')

    def test_remapped_user_ids(self):
        self.engine.details['SecurityOptions'].append('name=userns')
        self.refused('remaps user ids')

    def test_symlink_in_the_place_of_a_layer(self):
        self.directories.return_value = False
        self.refused('not a directory')

    def test_more_layers_than_a_mount_takes(self):
        self.short_names.return_value = [f'l/{"A" * 26}'] * 70
        self.mount()
        self.short_names.return_value *= 2
        self.refused('too many layers')
