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


import pathlib
from unittest import mock

import fixtures
from oslotest import base

from evalcloud import loops
from evalcloud import progress


class LoopsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.sys = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.MockPatchObject(
            loops, '_DEVICES', self.sys))
        self.run = self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True, return_value='')).mock
        self._device('loop0')
        self._device('loop1', '/cloud/a')
        self._device('loop2', '/cloud/b c')
        self._device('loop3', '/cloud-2/a')
        self._device('loop4', '/cloud/gone (deleted)')

    def _device(self, name, file='', autoclear=0):
        """A loop device, as the kernel shows it; free without a file."""
        folder = self.sys / name
        folder.mkdir()
        if file:
            (folder / 'loop').mkdir()
            (folder / 'loop' / 'backing_file').write_text(f'{file}\n')
            (folder / 'loop' / 'autoclear').write_text(f'{autoclear}\n')

    def test_of_a_file(self):
        self.assertEqual(['/dev/loop1'], loops.of(pathlib.Path('/cloud/a')))
        self.assertEqual(['/dev/loop2'], loops.of(pathlib.Path('/cloud/b c')))
        self.assertEqual([], loops.of(pathlib.Path('/cloud/c')))

    def test_of_a_folder(self):
        self.assertEqual(['/dev/loop1', '/dev/loop2', '/dev/loop4'],
                         loops.of(pathlib.Path('/cloud')))

    def test_let_go_while_one_looks(self):
        read = pathlib.Path.read_text

        def vanished(file):
            if 'loop1' in file.parts:
                raise OSError(6, 'No such device or address')
            return read(file)
        with mock.patch.object(pathlib.Path, 'read_text', vanished):
            self.assertEqual(['/dev/loop2', '/dev/loop4'],
                             loops.of(pathlib.Path('/cloud')))

    def test_attach(self):
        self.run.return_value = '/dev/loop7\n'
        self.assertEqual('/dev/loop7', loops.attach(pathlib.Path('/x')))
        self.assertIn('--nooverlap', self.run.mock_calls[0].args)

    def test_attach_while_it_goes(self):
        self._device('loop5', '/x', autoclear=1)
        self.assertRaisesRegex(progress.Failure, '/dev/loop5 of /x',
                               loops.attach, pathlib.Path('/x'))
        self.run.assert_not_called()

    def test_resize(self):
        loops.resize(pathlib.Path('/cloud/c'))
        self.run.assert_not_called()
        loops.resize(pathlib.Path('/cloud/a'))
        self.run.assert_called_once_with(
            'losetup', '--set-capacity', '/dev/loop1')

    def test_detach(self):
        loops.detach(pathlib.Path('/cloud'))
        self.assertEqual(
            [mock.call('losetup', '--detach', f'/dev/loop{number}')
             for number in (1, 2, 4)], self.run.mock_calls)

    def test_detach_what_goes_by_itself(self):
        def gone(*_command):
            (self.sys / 'loop1/loop/backing_file').unlink()
            raise progress.Failure('no such device')
        self.run.side_effect = gone
        loops.detach(pathlib.Path('/cloud/a'))

    def test_detach_fails(self):
        self.run.side_effect = progress.Failure('no')
        self.assertRaises(progress.Failure, loops.detach,
                          pathlib.Path('/cloud/a'))
