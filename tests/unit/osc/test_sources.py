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

import contextlib
import io
import os
import pathlib
import shlex
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.engine import errors
from nova_docker.engine import local
from nova_docker import osc
from nova_docker.osc import sources
from tests.fixtures import archives

LAYER = archives.layer(('hello', os.urandom(1 << 20)))
ARCHIVE = archives.docker25([LAYER])


class SourcesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def file(self, data, name='image.tar'):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def read(self, name, architecture=None):
        with sources.opened(name, architecture) as source:
            self.last = source
            return b''.join(source.chunks)

    def refused(self, name, *texts):
        error = self.assertRaises(osc.SourceError, self.read, name)
        for text in texts:
            self.assertIn(text, str(error))
        self.assertNotIn('\n', str(error))


class OneFileTest(SourcesTestCase):

    def test_archives(self):
        for transport in ('docker-archive', 'oci-archive'):
            self.assertEqual(
                ARCHIVE, self.read(f'{transport}:{self.file(ARCHIVE)}'))
            self.assertEqual(len(ARCHIVE), self.last.size)
            self.assertFalse(self.last.rootfs)

    def test_rootfs(self):
        self.assertEqual(LAYER, self.read(
            f'rootfs:{self.file(LAYER, "with:colons.tar.xz")}'))
        self.assertTrue(self.last.rootfs)

    def test_standard_input(self):
        stdin = mock.Mock(buffer=io.BytesIO(ARCHIVE))
        stdin.isatty.return_value = False
        self.useFixture(fixtures.MonkeyPatch('sys.stdin', stdin))
        self.assertEqual(ARCHIVE, self.read('docker-archive:-'))
        self.assertIsNone(self.last.size)
        stdin.isatty.return_value = True
        self.refused('docker-archive:-', 'terminal')

    def test_pipe(self):
        self.assertEqual(b'some', self.read(
            f'rootfs:/dev/fd/{self._closed(b"some")}'))
        self.assertIsNone(self.last.size)

    def _closed(self, data):
        """The reading end of a pipe with this in it."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.write(writer, data)
        os.close(writer)
        return reader

    def test_no_such_file(self):
        self.refused('rootfs:/nonexistent', '/nonexistent: No such file')

    def test_directory(self):
        self.refused(f'rootfs:{self.folder}', 'Is a directory')

    def test_empty(self):
        self.refused(f'docker-archive:{self.file(b"")}', 'is empty')

    def test_cannot_be_read(self):
        class Broken(io.BytesIO):
            def read(self, size):
                raise OSError(5, 'Input/output error')
        stdin = mock.Mock(buffer=Broken())
        stdin.isatty.return_value = False
        self.useFixture(fixtures.MonkeyPatch('sys.stdin', stdin))
        self.refused('rootfs:-', 'Input/output error')


class NameTest(SourcesTestCase):

    def test_no_such_transport(self):
        for name in ('nginx', 'dir:/x', 'docker-archive', 'rootfs:', ':x',
                     '/tmp/image.tar'):
            self.refused(name, f'{name} is not a source',
                         'docker-daemon:NAME', 'rootfs:FILE')


class LayoutTest(SourcesTestCase):

    def setUp(self):
        super().setUp()
        self.file(b'{"manifests": []}', 'index.json')

    def test_directory(self):
        data = self.read(f'oci:{self.folder}')
        self.assertEqual(len(data), self.last.size)
        self.assertIn(b'index.json', data)

    def test_with_a_tag(self):
        self.refused(f'oci:{self.folder}:1.0', 'has no image 1.0')

    def test_no_directory(self):
        self.refused('oci:/nonexistent', 'not an OCI image layout')


class DaemonTest(SourcesTestCase):

    def _saved(self, chunks):
        @contextlib.contextmanager
        def saved(name):
            self.assertEqual('nginx:1', name)
            yield chunks
        self.useFixture(fixtures.MonkeyPatch(
            'nova_docker.engine.local.saved', saved))

    def test_read(self):
        self._saved(iter([b'a', b'', b'b']))
        self.assertEqual(b'ab', self.read('docker-daemon:nginx:1'))

    def test_breaks_off(self):
        def chunks():
            yield b'a'
            raise errors.Unavailable('gone')
        self._saved(chunks())
        self.refused('docker-daemon:nginx:1', 'gone')

    def test_no_such_image(self):
        error = errors.of_status(404, 'No such image')
        with mock.patch.object(local, 'saved', autospec=True,
                               side_effect=error):
            self.refused('docker-daemon:nginx:1', 'No such image')


class RegistryTest(SourcesTestCase):
    """With a program in the place of skopeo."""

    def skopeo(self, script):
        path = self.folder / 'skopeo'
        path.write_text(f'#!/bin/sh\necho "$@" > {self.folder}/arguments\n'
                        f'{script}\n')
        path.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{self.folder}:{os.environ["PATH"]}'))

    def arguments(self):
        return shlex.split((self.folder / 'arguments').read_text())

    def test_read(self):
        self.skopeo(f'cat {self.file(ARCHIVE)}')
        self.assertEqual(ARCHIVE, self.read('docker://r.example/a:1'))
        self.assertEqual(
            ['--override-os', 'linux', 'copy', '--quiet',
             'docker://r.example/a:1', 'docker-archive:/dev/stdout'],
            self.arguments())

    def test_architecture(self):
        self.skopeo('echo')
        self.read('docker://r.example/a', 'arm64')
        self.assertIn('--override-arch arm64', ' '.join(self.arguments()))

    def test_fails_at_once(self):
        # skopeo ends the archive that it did not begin.
        self.skopeo('head -c 1024 /dev/zero; echo \'time="x" level=fatal '
                    'msg="reading \\"a\\": unauthorized"\' >&2; exit 1')
        with contextlib.ExitStack() as stack:
            error = self.assertRaises(
                osc.SourceError, stack.enter_context,
                sources.opened('docker://r.example/a'))
        self.assertEqual('skopeo: reading "a": unauthorized', str(error))

    def test_fails_in_the_middle(self):
        self.skopeo('head -c 1000000 /dev/zero; echo broken >&2; exit 1')
        self.refused('docker://r.example/a', 'skopeo: broken')

    def test_is_killed(self):
        self.skopeo('kill -9 $$')
        self.refused('docker://r.example/a', 'skopeo: exit status -9')

    def test_is_not_left_behind(self):
        self.skopeo(f'echo $$ > {self.folder}/pid; exec cat /dev/zero')
        with sources.opened('docker://r.example/a') as source:
            next(source.chunks)
            pid = int((self.folder / 'pid').read_text())
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def test_is_not_installed(self):
        self.useFixture(fixtures.EnvironmentVariable('PATH', '/nonexistent'))
        self.refused('docker://r.example/a', 'needs the program skopeo',
                     'docker-daemon:')

    def test_no_registry(self):
        self.refused('docker:nginx', 'docker://', 'docker-daemon:NAME')
