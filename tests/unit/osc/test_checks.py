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

import bz2
import gzip
import io
import lzma

from backports import zstd
import ddt
import fixtures
from oslotest import base

from nova_docker.image import tar
from nova_docker.osc import checks
from tests.fixtures import archives

LAYER = archives.layer(('bin/sh', b'shell' * 100000))


@ddt.ddt
class CheckTest(base.BaseTestCase):

    def refused(self, text, check, data):
        error = self.assertRaises(tar.Refused, check, io.BytesIO(data), None)
        self.assertIn(text, str(error))

    @ddt.data(*archives.LAYOUTS)
    def test_archive(self, layout):
        config = archives.config([LAYER], architecture='arm64', config={
            'Labels': {'org.opencontainers.image.title': 'sh'}})
        data = archives.LAYOUTS[layout]([LAYER], config)
        for architecture in (None, 'arm64'):
            facts = checks.check_archive(io.BytesIO(data), architecture)
            self.assertEqual(len(LAYER), facts.size)
            self.assertEqual({'hw_architecture': 'aarch64',
                              'org.opencontainers.image.title': 'sh'},
                             facts.properties)

    def test_bad_archive(self):
        self.refused('root filesystem', checks.check_archive, LAYER)

    @ddt.data(bytes, gzip.compress, lzma.compress, bz2.compress,
              zstd.compress)
    def test_rootfs(self, compress):
        facts = checks.check_rootfs(io.BytesIO(compress(LAYER)), 's390x')
        self.assertEqual(len(LAYER), facts.size)
        self.assertEqual({'hw_architecture': 's390x'}, facts.properties)

    def test_rootfs_of_this_machine(self):
        for machine, properties in (
                ('x86_64', {'hw_architecture': 'x86_64'}), ('pdp11', {})):
            self.useFixture(fixtures.MonkeyPatch('platform.machine',
                                                 lambda name=machine: name))
            facts = checks.check_rootfs(io.BytesIO(LAYER), None)
            self.assertEqual(properties, facts.properties)

    def test_bad_rootfs(self):
        xz = lzma.compress(LAYER)
        for data, text in ((LAYER[:9999], 'truncated'),
                           (xz[:-100], 'truncated'),
                           (xz[:50] + bytes(100) + xz[150:], 'damaged'),
                           (b'QFI\xfb' + bytes(9999), 'qcow2'),
                           (archives.docker25([LAYER]), 'image archive'),
                           (bytes(10240), 'no files')):
            self.refused(text, checks.check_rootfs, data)
