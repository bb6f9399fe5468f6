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

from oslotest import base

from nova_docker.image import archive
from nova_docker.image import pull
from nova_docker.image import registries
from nova_docker.image import registry
from nova_docker.image import tar
from nova_docker.spec import reference
from tests.fixtures import archives
from tests.fixtures import registry as fake
from tests.fixtures import tls

BASE = archives.layer(('base', b'base' * 1000))
TOP = archives.layer(('hello', b'hello' * 1000))


class PiecesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(fake.Registry(
            self.useFixture(tls.Authority())))
        self.client = registry.Client(registries.Registry(
            self.fake.host, self.fake.url,
            frozenset((reference.host(self.fake.host),)), self.fake.ca_file),
            'app')
        self.addCleanup(self.client.close)

    def pieces(self, image, architecture='amd64', limit=None):
        return pull.pieces(self.client, image['digest'], architecture, limit)

    def members(self, image, **kwargs):
        """The archive: names with their data."""
        return {entry.name.decode(): b''.join(data) for entry, data in
                tar.members(self.pieces(image, **kwargs))}

    def refused(self, error, text, image, **kwargs):
        raised = self.assertRaises(error, lambda: sum(
            map(len, self.pieces(image, **kwargs))))
        self.assertIn(text, str(raised))
        return raised

    def test_archive(self):
        top = gzip.compress(TOP)
        image = self.fake.push('app', '1', [BASE, top])
        members = self.members(image)
        self.assertEqual(
            ['index.json', *('blobs/sha256/' + digest for digest in (
                image['digest'].removeprefix('sha256:'),
                archives.digest(archives.config([BASE, top])),
                archives.digest(BASE), archives.digest(top)))],
            list(members))
        self.assertEqual([BASE, top], list(members.values())[3:])

    def test_the_rewriter_takes_it(self):
        config = archives.config([BASE, TOP, BASE])
        image = self.fake.push('app', '1', [BASE, gzip.compress(TOP), BASE],
                               config)
        rewriter = archive.Rewriter(
            io.BytesIO(b''.join(self.pieces(image))), 'a:b', 'amd64')
        self.assertIn(BASE, b''.join(rewriter))
        self.assertEqual(f'sha256:{archives.digest(config)}',
                         rewriter.facts.config_digest)

    def index(self, **kwargs):
        return self.fake.index('app', 'all', {
            f'linux/{name}': self.fake.push('app', name, [BASE],
                                            archives.config(
                                                [BASE], architecture=name))
            for name in ('arm64', 'amd64')})

    def test_index(self):
        index = self.index()
        for architecture in ('amd64', 'arm64'):
            names = self.members(index, architecture=architecture)
            self.assertIn('blobs/sha256/' + archives.digest(archives.config(
                [BASE], architecture=architecture)), names)
            self.assertEqual(4, len(names))
        self.refused(tar.Refused, 'linux/amd64, linux/arm64', index,
                     architecture='s390x')

    def test_nested_indexes(self):
        index = self.index()
        for _ in range(2):
            index = self.fake.index('app', 'outer', {'linux/amd64': index})
        self.assertEqual(4, len(self.members(index)))
        index = self.fake.index('app', 'outer', {'linux/amd64': index})
        self.refused(tar.Refused, '', index)

    def test_too_large_is_known_before_a_layer_moves(self):
        image = self.fake.push('app', '1', [BASE, TOP])
        size = len(BASE) + len(TOP)
        self.assertEqual(5, len(self.members(image, limit=size)))
        self.fake.seen.clear()
        error = self.refused(archive.TooLarge, '', image, limit=size - 1)
        self.assertEqual(size, error.size)
        self.assertEqual(1, len(self.fake.seen))

    def test_huge_declarations(self):
        layer = fake.descriptor(BASE, '') | {'size': 1 << 62}
        document = {'schemaVersion': 2, 'layers': [layer],
                    'config': self.fake.blob('app', b'{}', '')}
        image = self.fake.manifest('app', document, '1')
        self.refused(archive.TooLarge, '', image, limit=1 << 40)
        # Without a limit it is what comes that counts.
        self.refused(tar.Refused, 'does not have', image)
        self.fake.blob('app', BASE, '')
        self.refused(registry.Unavailable, f'of {1 << 62} bytes', image)
        document['config'] |= {'size': 5 << 20}
        self.refused(tar.Refused, 'configuration is too large',
                     self.fake.manifest('app', document, '1'))

    def test_layer_of_another_size(self):
        # Were it longer, a member of the archive would begin in the middle
        # of it.
        for change in (-512, 512):
            layer = fake.descriptor(BASE, '')
            layer['size'] += change
            image = self.fake.manifest('app', {
                'schemaVersion': 2, 'layers': [layer],
                'config': self.fake.blob('app', b'{}', '')}, '1')
            self.fake.blob('app', BASE, '')
            self.assertRaises((tar.Refused, registry.Unavailable), list,
                              self.pieces(image))

    def test_wrong_contents(self):
        image = self.fake.push('app', '1', [BASE])
        for path, data in list(self.fake.content.items()):
            if 'sha256' not in path:
                continue
            self.fake.content[path] = data[:-1] + b'x'
            self.refused(tar.Refused, 'something else', image)
            self.fake.content[path] = data
