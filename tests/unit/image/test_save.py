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
import json
import tarfile
import threading
import tracemalloc

from nova import exception
from nova import test
from testtools import matchers

from nova_docker.engine import errors
from nova_docker.image import archive as rewriter
from nova_docker.image import save
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import engine
from tests.fixtures import starts

REFERENCE = names.snapshot_reference('image', 'host1')
LAYERS = [archives.layer(('bin/sh', b'#!')), archives.layer(('a', b'new'))]
COMMITTED = {
    'architecture': 'amd64', 'os': 'linux', 'created': 'now',
    'container': 'c0ffee', 'docker_version': '28.5.2',
    'container_config': {'Labels': {names.LABEL_INSTANCE: 'x'}},
    'history': [{'created_by': 'sh'}],
    'config': {
        'Hostname': 'web', 'Image': 'nova-docker.invalid/glance/i:t',
        'Cmd': ['sh'], 'Env': ['A=1'], 'User': 'nobody', 'Tty': True,
        'Healthcheck': {'Test': ['NONE']}, 'StopSignal': 'SIGINT',
        'Labels': {names.LABEL_INSTANCE: 'x', names.LABEL_HOST: 'host1',
                   'org.openstack.nova': 'mine', 'a': 'b'}}}


def saved(layers=LAYERS, **changes):
    """What an engine saves of a committed container."""
    return archives.docker25(layers, archives.config(
        layers, **COMMITTED | changes), [REFERENCE])


def pieces(data, size=1000):
    return (data[at:at + size] for at in range(0, len(data), size))


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read()
                for member in tar}


def cleaned(data, size=1000):
    """The members of the archive that is made of one."""
    return members(b''.join(save.rewritten(pieces(data, size))))


def configuration(found):
    manifest, = json.loads(found['manifest.json'])
    return json.loads(found[manifest['Config']])


class ArchiveTest(test.NoDBTestCase):

    def test_what_stays(self):
        found = configuration(cleaned(saved()))
        self.assertEqual('amd64', found['architecture'])
        self.assertEqual([{'created_by': 'sh'}], found['history'])
        self.assertEqual({
            'Cmd': ['sh'], 'Env': ['A=1'], 'User': 'nobody',
            'Healthcheck': {'Test': ['NONE']}, 'StopSignal': 'SIGINT',
            'Labels': {'org.openstack.nova': 'mine', 'a': 'b'}},
            found['config'])

    def test_nothing_of_this_host(self):
        whole = b''.join(save.rewritten(pieces(saved())))
        for ours in (b'nova-docker', b'web', b'host1', b'c0ffee', b'28.5.2'):
            self.assertNotIn(ours, whole)

    def test_layers_pass(self):
        found = cleaned(saved())
        manifest, = json.loads(found['manifest.json'])
        self.assertEqual(LAYERS, [found[name] for name in manifest['Layers']])
        self.assertIsNone(manifest['RepoTags'])
        self.assertEqual(4, len(found))

    def test_any_pieces(self):
        expected = cleaned(saved())
        for size in (1, 511, 512, 513, 1 << 20):
            self.assertEqual(expected, cleaned(saved(), size))

    def test_compressed_layers_pass(self):
        """As a containerd image store has them."""
        packed = [gzip.compress(layer) for layer in LAYERS]
        parts = [archives.blob(layer) for layer in packed]
        config = archives.config(LAYERS, **COMMITTED)
        found = cleaned(archives.tar([
            *parts, archives.blob(config), ('index.json', b'{}'),
            archives.manifest(archives.blob(config)[0],
                              [name for name, _ in parts])]))
        manifest, = json.loads(found['manifest.json'])
        self.assertEqual(packed, [found[name] for name in manifest['Layers']])

    def test_layer_that_looks_like_json(self):
        layers = [archives.layer(('{"a": 1}', b'x'))]
        found = cleaned(saved(layers))
        self.assertIn(layers[0], found.values())

    def test_the_driver_loads_it(self):
        source = io.BytesIO(b''.join(save.rewritten(pieces(saved()))))
        loaded = rewriter.Rewriter(source, REFERENCE, 'amd64')
        for _ in loaded:
            pass
        self.assertEqual(sum(map(len, LAYERS)), loaded.facts.unpacked_size)

    def test_no_labels(self):
        self.assertEqual({}, configuration(cleaned(saved(
            config={'Labels': None})))['config']['Labels'])
        self.assertEqual({}, configuration(cleaned(saved(
            config=None)))['config']['Labels'])

    def test_what_the_engine_did_not_end(self):
        whole = saved()
        failure = b'{"message":"no space left on device"}\n'
        for data in (whole[:700], whole[:5000], whole[:5000] + failure,
                     whole[:512 * 2] + failure, b'', failure,
                     archives.tar([('index.json', b'{}')]),
                     archives.tar([archives.manifest('none', [])])):
            found = self.assertRaises(
                errors.EngineError, list, save.rewritten(pieces(data)))
            self.assertIn('whole image', str(found))

    def test_error_of_the_engine(self):
        def failing():
            yield saved()[:2000]
            raise errors.Unavailable('gone')
        self.assertRaises(errors.Unavailable, list, save.rewritten(failing()))

    def test_memory(self):
        block = bytes(64 << 10)
        size = 256 << 20
        head = archives.tar([('x', b'')])[:512]
        info = tarfile.TarInfo('blobs/sha256/a')
        info.size = size

        def huge():
            yield info.tobuf()
            for at in range(0, size, len(block)):
                yield block if at else head + block[512:]
            config = archives.config([], **COMMITTED)
            yield archives.tar([
                ('c.json', config),
                archives.manifest('c.json', ['blobs/sha256/a'])])
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertThat(sum(map(len, save.rewritten(huge()))),
                        matchers.GreaterThan(size))
        self.assertThat(tracemalloc.get_traced_memory()[1],
                        matchers.LessThan(2 << 20))


class FilesTest(test.NoDBTestCase):

    def test_read(self):
        file = save.File('i', iter([b'abc', b'd']))
        self.assertTrue(file)
        self.assertEqual([b'ab', b'c', b'd', b'', b''],
                         [file.read(2) for _ in range(5)])
        self.assertEqual(4, file.size)

    def test_no_second_upload(self):
        file = save.File('i', iter([b'abc']))
        self.assertTrue(file)
        # It may begin again as long as nothing was sent.
        self.assertTrue(file)
        file.read(1)
        self.assertRaises(exception.CouldNotUploadImage, bool, file)


class UploadTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.engine.load_image([saved([archives.layer(('a', b'x' * 5000))])])
        self.upload = save.Upload('image', 'instance')

    def read(self, file):
        while file.read(100):
            pass

    def test_whole(self):
        with self.upload.file(self.engine, REFERENCE) as file:
            self.read(file)
        self.assertThat(file.size, matchers.GreaterThan(5000))
        self.assertFalse(self.upload.cancelled)

    def test_cancel_in_the_middle(self):
        with self.upload.file(self.engine, REFERENCE) as file:
            file.read(100)
            self.upload.cancel()
            self.assertRaises(errors.EngineError, self.read, file)
            # The rest is read, and not broken off.
            self.assertFalse(self.upload._stream.closed)

    def test_cancel_before_the_first_piece(self):
        failures = []

        def upload():
            with self.upload.file(self.engine, REFERENCE) as file:
                failures.append(self.assertRaises(
                    errors.EngineError, self.read, file))
        with self.engine.hold_saves():
            reader = threading.Thread(target=upload)
            reader.start()
            starts.wait_until(lambda: self.upload._stream)
            self.upload.cancel()
            reader.join(60)
        self.assertEqual(1, len(failures))
        self.upload.cancel()

    def test_cancel_before(self):
        self.upload.cancel()
        file = self.upload.file(self.engine, REFERENCE)
        self.assertRaises(errors.EngineError, file.__enter__)
        self.assertNotIn('save_image', [name for name, _ in self.engine.calls])

    def test_no_image(self):
        file = self.upload.file(self.engine, 'none:none')
        self.assertRaises(errors.NotFound, file.__enter__)
