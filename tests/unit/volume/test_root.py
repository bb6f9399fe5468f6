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

from nova import exception
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.volume import root
from tests.fixtures import archives
from tests.fixtures import engine
from tests.fixtures import kernel
from tests.fixtures import roots
from tests.fixtures import volumes

DEVICE = '/dev/x'


class RootTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.steps = []
        self.volumes = self.useFixture(volumes.Volumes(self.steps))
        self.roots = self.useFixture(roots.Roots(self.steps, self.volumes))
        self.useFixture(kernel.Kernel(self.steps))
        self.engine = engine.FakeEngine()
        self.engine.load_image([archives.docker25([archives.layer()])])
        reference = self.engine.list_images([])[0]['Id']
        self.container = self.engine.create_container(
            'made', {'Image': reference, 'Cmd': ['/']})

    def mount(self):
        root.mount(self.engine, DEVICE, '/place', self.container)

    def test_is_root(self):
        self.assertFalse(root.is_root(root.content(DEVICE)))
        for found in ({'TYPE': 'ext4'}, {'TYPE': 'ext4', 'LABEL': 'x'},
                      {'TYPE': 'xfs', 'LABEL': roots.OURS['LABEL']}):
            self.assertFalse(root.is_root(found))
        self.volumes.contents[DEVICE] = roots.OURS
        self.assertTrue(root.is_root(root.content(DEVICE)))

    def test_described(self):
        self.roots.data[DEVICE] = b'\0' * 20 + b'x'
        for found, words in (({'TYPE': 'xfs'}, 'xfs'),
                             ({'PTTYPE': 'gpt'}, 'partition table (gpt)'),
                             ({}, 'unknown data')):
            self.assertIn(words, root.described(DEVICE, found))
        self.roots.data[DEVICE] = b''
        self.assertIn('nothing', root.described(DEVICE, {}))

    def test_pieces(self):
        self.roots.data[DEVICE] = bytes(range(256)) * (10 << 10)
        for length in (0, 1, 1 << 20, (1 << 20) + 7, 2 << 20):
            self.assertEqual(self.roots.data[DEVICE][:length],
                             b''.join(root.pieces(DEVICE, length)))

    def test_mount(self):
        self.mount()
        self.assertEqual({DEVICE: f'/layers/{self.container}'},
                         self.roots.mounted)
        root.protect(DEVICE)
        self.assertEqual({DEVICE}, self.roots.protected)
        # A start needs to write.
        self.mount()
        self.assertEqual(set(), self.roots.protected)
        self.assertEqual(1, [name for name, _ in self.steps].count(
            'root_attach'))
        self.assertTrue(root.mounted(DEVICE))
        root.release(self.engine, self.container)
        self.assertFalse(root.mounted(DEVICE))

    def test_failures(self):
        for error, words in (
                (ValueError('two'), 'two'),
                (NotADirectoryError('diff'), 'diff'),
                (processutils.ProcessExecutionError(
                    stdout='INCONSISTENCY', stderr='run fsck'),
                 'INCONSISTENCY run fsck')):
            self.roots.fail_next('attach', error)
            self.assertIn(words, self.assertRaises(
                exception.InvalidVolume, self.mount).format_message())
        self.roots.fail_next('protect', FileNotFoundError())
        root.protect(DEVICE)

    def test_make(self):
        root.make(self.engine, DEVICE, '/place', self.container, b'{}')
        (_device, _place, layers, _content), = [
            args for name, args in self.steps if name == 'root_make']
        self.assertEqual(f'/layers/{self.container}/diff', layers[0])
        self.assertGreater(len(layers), 1)
        self.assertEqual(b'{}', root.document(DEVICE, '/place'))
