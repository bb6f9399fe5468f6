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

import gzip
import io
import lzma
import os
import pathlib
import tracemalloc
import types

import fixtures
from osc_lib import exceptions
from oslotest import base

from nova_docker.osc import image
from tests.fixtures import archives
from tests.fixtures import glance

LAYER = archives.layer(('hello', b'hello' * 100000))
CONFIG = archives.config([LAYER], config={'Labels': {
    'org.opencontainers.image.title': 'Hello', 'maintainer': 'me'}})
ARCHIVE = archives.docker25([LAYER], CONFIG)


class ImageTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.glance = self.useFixture(glance.Glance())
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        manager = types.SimpleNamespace(docker=self.glance.connect().image)
        self.command = image.CreateImage(
            types.SimpleNamespace(client_manager=manager), None)
        # As where no progress bar is shown.
        self.stderr = io.StringIO()
        self.useFixture(fixtures.MonkeyPatch('sys.stderr', self.stderr))

    def file(self, data):
        path = self.folder / 'data'
        path.write_bytes(data)
        return path

    def run_command(self, *arguments):
        """What ``openstack docker image create`` shows, by column."""
        parser = self.command.get_parser('openstack docker image create')
        return dict(zip(*self.command.take_action(
            parser.parse_args(arguments)), strict=True))

    def create(self, *arguments, data=ARCHIVE):
        return self.run_command(
            'hello', '--from', f'docker-archive:{self.file(data)}',
            *arguments)

    def record(self):
        """The one image that Glance has."""
        found, = self.glance.images.values()
        return found

    def refused(self, text, *arguments, **options):
        error = self.assertRaises(exceptions.CommandError, self.create,
                                  *arguments, **options)
        self.assertIn(text, str(error))
        self.assertEqual({}, self.glance.images)


class ArchiveTest(ImageTestCase):

    def test_what_the_archive_tells(self):
        self.create()
        record = self.record()
        self.assertEqual(ARCHIVE, self.glance.data[record['id']])
        wanted = {
            'name': 'hello', 'container_format': 'docker',
            'disk_format': 'raw', 'img_hv_type': 'docker',
            'hw_architecture': 'x86_64', 'min_disk': 1,
            'org.opencontainers.image.title': 'Hello'}
        self.assertEqual(wanted, {key: record.get(key) for key in wanted})
        self.assertNotIn('docker_image_type', record)
        self.assertNotIn('maintainer', record)

    def test_what_is_shown(self):
        shown = self.create('--tag', 'b', '--tag', 'a')
        record = self.record()
        self.assertEqual(record['id'], shown['id'])
        self.assertEqual('active', shown['status'])
        self.assertEqual(len(ARCHIVE), shown['size'])
        self.assertIs(False, shown['protected'])
        self.assertEqual('a, b', shown['tags'].human_readable())
        self.assertEqual({
            'hw_architecture': 'x86_64', 'img_hv_type': 'docker',
            'org.opencontainers.image.title': 'Hello'},
            shown['properties'].machine_readable())

    def test_options(self):
        self.create('--min-disk', '3', '--min-ram', '64', '--protected',
                    '--community', '--tag', 'a',
                    '--property', 'docker_command=sleep 1',
                    '--property', 'hw_architecture=aarch64',
                    '--property', 'os_command_line=x=y')
        wanted = {
            'min_disk': 3, 'min_ram': 64, 'protected': True,
            'visibility': 'community', 'tags': ['a'],
            'docker_command': 'sleep 1', 'hw_architecture': 'aarch64',
            'os_command_line': 'x=y'}
        record = self.record()
        self.assertEqual(wanted, {key: record[key] for key in wanted})

    def test_compressed(self):
        data = gzip.compress(ARCHIVE, 1)
        self.create(data=data)
        self.assertEqual(data, self.glance.data[self.record()['id']])

    def test_other_architecture(self):
        config = archives.config([LAYER], architecture='arm64')
        data = archives.docker25([LAYER], config)
        self.create(data=data)
        self.assertEqual('aarch64', self.record()['hw_architecture'])
        self.glance.images.clear()
        self.create('--architecture', 'aarch64', data=data)
        self.glance.images.clear()
        self.refused('linux/arm64', '--architecture', 'x86_64', data=data)

    def test_progress_only_on_a_terminal(self):
        self.create()
        self.assertEqual('', self.stderr.getvalue())
        self.stderr.isatty = lambda: True
        self.create()
        self.assertIn('100%', self.stderr.getvalue())


class RootfsTest(ImageTestCase):

    def test_root_filesystem(self):
        data = lzma.compress(LAYER)
        self.run_command('root', '--from', f'rootfs:{self.file(data)}')
        record = self.record()
        self.assertEqual(data, self.glance.data[record['id']])
        wanted = {'container_format': 'bare', 'disk_format': 'raw',
                  'docker_image_type': 'rootfs', 'img_hv_type': 'docker',
                  'min_disk': 1}
        self.assertEqual(wanted, {key: record.get(key) for key in wanted})

    def test_architecture(self):
        self.run_command('root', '--from', f'rootfs:{self.file(LAYER)}',
                         '--architecture', 'aarch64')
        self.assertEqual('aarch64', self.record()['hw_architecture'])

    def test_refused(self):
        for data in (b'no archive' * 100, lzma.compress(LAYER)[:-100]):
            error = self.assertRaises(
                exceptions.CommandError, self.run_command,
                'root', '--from', f'rootfs:{self.file(data)}')
            self.assertNotIn('\n', str(error))
            self.assertEqual({}, self.glance.images)


class RefusedTest(ImageTestCase):

    def test_what_a_compute_host_would_refuse(self):
        lies = archives.docker25([LAYER], archives.config([b'other']))
        for data, text in ((lies, 'does not match'),
                           (ARCHIVE[:-10000], 'truncated'),
                           (b'QFI\xfb' + bytes(1 << 16), 'qcow2')):
            self.refused(text, data=data)

    def test_bad_sources(self):
        for source in ('nginx', 'docker-archive:/nonexistent', 'oci:/etc'):
            self.assertRaises(exceptions.CommandError, self.run_command,
                              'x', '--from', source)
        self.assertNotIn(('POST', '/v2/images'), self.glance.requests)

    def test_unknown_architecture(self):
        self.refused('pdp11', '--architecture', 'pdp11')

    def test_properties_that_are_none(self):
        for name in ('container_format', 'min_disk', 'visibility', 'status',
                     'tags'):
            self.refused(f'{name} cannot be given',
                         '--property', f'{name}=1')


class MemoryTest(ImageTestCase):

    def test_memory_is_flat(self):
        """64 MiB pass through; Glance here keeps none of them."""
        layer = archives.layer(('zeros', bytes(64 << 20)))
        path = self.file(archives.docker25([layer]))
        del layer
        self.glance.keep = False
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.run_command('x', '--from', f'docker-archive:{path}')
        self.assertLess(tracemalloc.get_traced_memory()[1], 24 << 20)
        self.assertEqual(os.path.getsize(path), self.record()['size'])
