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
import hashlib
import io
import json
import lzma
import random
import tarfile
import tracemalloc
import zlib

from backports import zstd
import ddt
from oslotest import base

from nova_docker.image import archive
from tests.fixtures import archives

REFERENCE = 'nova-docker.invalid/glance/x:y'
BASE = archives.layer(('bin/sh', b'shell' * 500), ('etc/passwd', b'root'))
TOP = archives.layer(('hello', b'hello' * 1000))
CONFIG = archives.config([BASE, TOP])
CONFIG_BLOB = archives.blob(CONFIG)
MANIFEST = archives.manifest(CONFIG_BLOB[0], ['base', 'top'])
LAYERS = [('base', BASE), ('top', TOP)]
MiB = 1 << 20


def rewriter(data, limit=None, architecture='amd64', present=()):
    return archive.Rewriter(io.BytesIO(data), REFERENCE, architecture, limit,
                            frozenset(present))


def rewrite(data, **kwargs):
    return b''.join(rewriter(data, **kwargs))


def unpack(data):
    """The members of a rewritten archive in their order."""
    with tarfile.open(fileobj=io.BytesIO(data), mode='r:') as result:
        return {member.name: result.extractfile(member).read()
                for member in result}


def inflate(data):
    if data.startswith(b'\x1f\x8b'):
        return gzip.decompress(data)
    return zstd.decompress(data) if data.startswith(b'\x28\xb5') else data


class Case(base.BaseTestCase):

    def refused(self, data, *texts, **kwargs):
        """Assert a refusal that says so, before any manifest came out."""
        pieces = []

        def read():
            pieces.extend(rewriter(data, **kwargs))

        error = self.assertRaises(archive.Refused, read)
        self.assertNotIn(b'manifest.json', b''.join(pieces))
        for text in texts:
            self.assertIn(text, str(error))
        return error

    def assert_safe(self, result):
        """The invariants of what may come out; the layers in order."""
        members = unpack(result)
        self.assertEqual('manifest.json', list(members)[-1])
        for name in members:
            self.assertRegex(
                name, r'\A([0-9a-f]{32}-(\d+|config)|manifest\.json)\Z')
        image, = json.loads(members['manifest.json'])
        self.assertEqual([REFERENCE], image['RepoTags'])
        layers = [inflate(members[name]) for name in image['Layers']]
        self.assertEqual(
            json.loads(members[image['Config']])['rootfs']['diff_ids'],
            ['sha256:' + archives.digest(layer) for layer in layers])
        return layers


@ddt.ddt
class LayoutTestCase(Case):

    @ddt.data(*archives.LAYOUTS)
    def test_layout(self, layout):
        plain = archives.LAYOUTS[layout]([BASE, TOP], CONFIG)
        for data in (plain, gzip.compress(plain), zstd.compress(plain),
                     lzma.compress(plain)):
            parts = rewriter(data)
            result = b''.join(parts)
            self.assertEqual([BASE, TOP], self.assert_safe(result))
            self.assertIn(CONFIG, unpack(result).values())
            self.assertEqual(
                archive.Facts('sha256:' + archives.digest(CONFIG),
                              len(BASE) + len(TOP), 'amd64', 'linux', {}),
                parts.facts)

    @ddt.data(*archives.LAYOUTS)
    def test_repeated_layer(self, layout):
        data = archives.LAYOUTS[layout]([BASE, TOP, BASE])
        parts = rewriter(data)
        self.assertEqual([BASE, TOP, BASE],
                         self.assert_safe(b''.join(parts)))
        self.assertEqual(2 * len(BASE) + len(TOP), parts.facts.unpacked_size)

    def test_no_layers(self):
        self.assertEqual([], self.assert_safe(rewrite(archives.docker25([]))))

    def test_empty_layer(self):
        empty = bytes(1024)
        for layout in archives.LAYOUTS.values():
            self.assertEqual(
                [empty], self.assert_safe(rewrite(layout([empty]))))

    def test_tag_of_another_image_is_dropped(self):
        result = rewrite(archives.docker25([BASE], tags=['stolen:1']))
        self.assertNotIn(b'stolen', result)
        self.assertNotIn(b'busybox', result)

    def test_source_that_gives_little_at_a_time(self):
        class Source(io.BytesIO):
            def read(self, size):
                return super().read(min(size, 700))

        for data in (archives.docker20([BASE, TOP], CONFIG),
                     gzip.compress(archives.oci([BASE, TOP], CONFIG))):
            parts = archive.Rewriter(Source(data), REFERENCE, 'amd64')
            self.assertEqual([BASE, TOP], self.assert_safe(b''.join(parts)))

    def test_no_name_is_used_again(self):
        first, second = (unpack(rewrite(archives.docker25([BASE, TOP])))
                         for _ in range(2))
        self.assertEqual({'manifest.json'}, first.keys() & second.keys())

    def test_gzip_of_several_members(self):
        data = archives.docker25([BASE, TOP])
        parts = [gzip.compress(data[at:at + 999])
                 for at in range(0, len(data), 999)]
        self.assertEqual([BASE, TOP],
                         self.assert_safe(rewrite(b''.join(parts))))

    def test_no_empty_piece(self):
        # It would end the body of a chunked HTTP request.
        for layout in archives.LAYOUTS.values():
            self.assertTrue(all(rewriter(layout([BASE, TOP]))))

    def test_zstd_layers_pass_as_they_are(self):
        packed = [zstd.compress(BASE), zstd.compress(TOP[:999])
                  + zstd.compress(TOP[999:])]
        parts = rewriter(archives.tar([
            *zip(('base', 'top'), packed), CONFIG_BLOB, MANIFEST]))
        result = b''.join(parts)
        self.assertEqual([BASE, TOP], self.assert_safe(result))
        self.assertEqual(set(), set(packed) - set(unpack(result).values()))
        self.assertEqual(len(BASE) + len(TOP), parts.facts.unpacked_size)

    def test_packed_as_the_directory_itself(self):
        members = [('./' + name, data) for name, data in (
            *LAYERS, CONFIG_BLOB, MANIFEST)]
        data = archives.tar([archives.directory('./'),
                             archives.directory('./blobs/'), *members])
        self.assertEqual([BASE, TOP], self.assert_safe(rewrite(data)))

    def test_several_platforms(self):
        arm = archives.config([TOP], architecture='arm64')
        data = archives.platforms(([BASE, TOP], CONFIG), ([TOP], arm))
        for architecture, layers in (('amd64', [BASE, TOP]),
                                     ('arm64', [TOP])):
            self.assertEqual(layers, self.assert_safe(
                rewrite(data, architecture=architecture)))
        self.refused(data, 'linux/riscv64, but for linux/amd64, linux/arm64',
                     architecture='riscv64')

    def test_platforms_of_others_are_not_charged(self):
        images = [([archives.layer(('hello', bytes([x]) * 9000))],
                   archives.config([archives.layer(
                       ('hello', bytes([x]) * 9000))], architecture=str(x)))
                  for x in range(5)]
        self.assert_safe(rewrite(archives.platforms(*images), limit=40000,
                                 architecture='0'))

    def test_attestation(self):
        large = b'{"sbom": "' + b'x' * (5 * MiB) + b'"}'
        data = archives.tar([*LAYERS, CONFIG_BLOB, ('sbom', large), MANIFEST])
        self.assertEqual([BASE, TOP], self.assert_safe(rewrite(data)))

    def test_reads_the_source_to_its_end_before_the_manifest(self):
        source = io.BytesIO(archives.docker25([BASE]) + bytes(MiB))
        pieces = iter(archive.Rewriter(source, REFERENCE, 'amd64'))
        for piece in pieces:
            if b'manifest.json' in piece:
                self.assertEqual(b'', source.read(1))
                break
        self.assertEqual([], list(pieces))


class PresentTestCase(Case):
    """Layers that the engine has already."""

    IDS = tuple('sha256:' + archives.digest(x) for x in (BASE, TOP))
    HAS_BASE = {IDS[:1]}

    def sent(self, data, **kwargs):
        """What is sent of the layers, and the bytes that are not."""
        parts = rewriter(data, **kwargs)
        members = unpack(b''.join(parts))
        return [x for x in (BASE, TOP) if x in map(inflate, members.values())
                ], parts.left_out

    def test_what_is_there_is_not_sent(self):
        for layout in ('docker25', 'skopeo'):
            data = archives.LAYOUTS[layout]([BASE, TOP])
            for packed in (data, zstd.compress(data)):
                for present, sent in (
                        ((), [BASE, TOP]), (self.HAS_BASE, [TOP]),
                        ({self.IDS[:1], self.IDS}, [])):
                    self.assertEqual(
                        (sent, len(BASE + TOP) - sum(map(len, sent))),
                        self.sent(packed, present=present))

    def test_the_manifest_names_all_layers(self):
        members = unpack(rewrite(archives.docker25([BASE, TOP]),
                                 present=self.HAS_BASE))
        image, = json.loads(members['manifest.json'])
        self.assertEqual(2, len(image['Layers']))
        self.assertNotIn(image['Layers'][0], members)
        self.assertEqual(TOP, members[image['Layers'][1]])

    def test_it_counts_like_any(self):
        data = archives.docker25([BASE, TOP])
        size = len(BASE + TOP)
        parts = rewriter(data, size, present=self.HAS_BASE)
        self.assertIn(b'manifest.json', b''.join(parts))
        self.assertEqual(size, parts.facts.unpacked_size)
        self.assertRaises(archive.TooLarge, list, rewriter(
            data, size - 1, present=self.HAS_BASE))

    def test_names_that_say_nothing(self):
        # Nor does the engine know a packed layer by the digest in its name.
        for data in (archives.docker20([BASE, TOP]),
                     archives.oci([BASE, TOP])):
            self.assertEqual(([BASE, TOP], 0), self.sent(
                data, present={self.IDS[:1], self.IDS}))

    def test_there_but_on_other_layers(self):
        for present in ({self.IDS[1:]}, {(*self.IDS[:1], 'x', self.IDS[1])}):
            self.assertRaises(archive.Absent, self.sent,
                              archives.docker25([BASE, TOP]), present=present)

    def test_only_who_has_a_layer_may_name_it(self):
        name = archives.blob(BASE)[0]
        config = archives.config([BASE])
        for data in (TOP, BASE[:-1024], gzip.compress(TOP), b''):
            self.refused(archives.tar([
                (name, data), ('config', config),
                archives.manifest('config', [name])]),
                name[:60], present=self.HAS_BASE)
        self.refused(archives.tar([('config', config), archives.manifest(
            'config', [name])]), 'lacks', present=self.HAS_BASE)

    def test_other_contents_under_a_known_name(self):
        name = archives.blob(BASE)[0]
        self.assertRaises(archive.Absent, rewrite, archives.tar([
            (name, TOP), ('config', archives.config([TOP])),
            archives.manifest('config', [name])]), present=self.HAS_BASE)


class HostileTestCase(Case):

    def test_absent_layer(self):
        self.refused(archives.tar([('top', TOP), CONFIG_BLOB, MANIFEST]),
                     'lacks the layer base')

    def test_claimed_layer(self):
        # The engine does not look at the data of a digest that it has.
        for pretended in (TOP, gzip.compress(TOP), bytes(1024)):
            self.refused(
                archives.tar([('base', pretended), ('top', TOP), CONFIG_BLOB,
                              MANIFEST]), 'base', 'does not match')

    def test_absent_config(self):
        self.refused(archives.tar([*LAYERS, MANIFEST]), 'configuration')

    def test_config_that_is_a_layer(self):
        self.refused(archives.tar([*LAYERS, archives.manifest(
            'base', ['base', 'top'])]), 'configuration')

    def test_layer_that_is_no_tar(self):
        for data in (b'QFI\xfb' * 1000, b'', b'{}', b'x' * (5 * MiB)):
            self.refused(archives.tar([('base', data), CONFIG_BLOB, MANIFEST]),
                         'base', 'not a tar')

    def test_other_number_of_layers(self):
        for names in (['base'], ['base', 'top', 'top']):
            self.refused(archives.tar([*LAYERS, CONFIG_BLOB, archives.manifest(
                CONFIG_BLOB[0], names)]), 'configuration 2')

    def test_too_many_layers(self):
        empty = bytes(1024)
        self.assertEqual(127, len(self.assert_safe(rewrite(
            archives.oci([empty] * 127)))))
        self.refused(archives.oci([empty] * 128), '127')

    def test_no_metadata(self):
        self.refused(archives.tar(LAYERS), 'docker save')

    def test_metadata_twice(self):
        for name in ('manifest.json', 'index.json', 'repositories',
                     'oci-layout'):
            for again in (name, './' + name):
                self.refused(archives.tar([
                    *LAYERS, CONFIG_BLOB, MANIFEST, (name, b'{}'),
                    (again, b'{}')]), 'twice')

    def test_layer_twice(self):
        self.refused(archives.tar([*LAYERS, LAYERS[0], CONFIG_BLOB, MANIFEST]),
                     'base twice')

    def test_metadata_by_links(self):
        for target in ('real', '../real', 'base'):
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                self.refused(archives.tar([
                    *LAYERS, CONFIG_BLOB, ('real', MANIFEST[1]),
                    archives.link('manifest.json', target, kind)]),
                    'manifest.json')

    def test_links_to_what_is_no_layer(self):
        for target in ('/etc/shadow', '../../etc/shadow', 'nothing', 'loop',
                       CONFIG_BLOB[0], '.', ''):
            self.refused(archives.tar([
                *LAYERS, CONFIG_BLOB, MANIFEST,
                archives.link('loop', target)]), 'loop')

    def test_config_by_link(self):
        self.refused(archives.tar([
            *LAYERS, ('real', CONFIG), archives.link(CONFIG_BLOB[0], 'real'),
            MANIFEST]), 'link')

    def test_odd_names(self):
        for name in ('././manifest.json', 'L/../manifest.json',
                     '/manifest.json', '../manifest.json', 'L//x', '..', '.',
                     './/manifest.json', './../x', 'a\nb', 'a\x01', 'n' * 513,
                     './', './.'):
            self.refused(archives.tar([*LAYERS, CONFIG_BLOB, MANIFEST,
                                       (name, MANIFEST[1])]), 'odd name')
        info = tarfile.TarInfo('bytes-\udcff')
        self.refused(archives.tar([(info, b'')], tarfile.GNU_FORMAT), 'UTF-8')

    def test_odd_types(self):
        for kind in (tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
                     tarfile.FIFOTYPE, tarfile.CONTTYPE, b'V', b'M', b'D'):
            info = tarfile.TarInfo('odd')
            info.type = kind
            self.refused(archives.tar([*LAYERS, CONFIG_BLOB, MANIFEST,
                                       (info, b'')]), 'not a plain file')

    def test_several_images(self):
        document = json.loads(MANIFEST[1]) * 2
        self.refused(archives.tar([*LAYERS, CONFIG_BLOB, (
            'manifest.json', archives.as_json(document))]), '2 images')

    def test_second_spelling_of_diff_ids(self):
        config = json.loads(CONFIG)
        config['ROOTFS'] = config['rootfs']
        self.refused(archives.docker25([BASE, TOP], archives.as_json(config)),
                     'odd key')

    def test_sparse_file_in_a_layer(self):
        info = tarfile.TarInfo('bomb')
        info.type = b'S'
        layer = archives.tar([(info, b'')], tarfile.GNU_FORMAT)
        self.refused(archives.docker25([layer]), 'sparse')
        self.refused(archives.oci([layer]), 'sparse')
        # A few bytes that the engine would write terabytes for.
        info = tarfile.TarInfo('bomb')
        info.pax_headers = {'GNU.sparse.size': str(1 << 40),
                            'GNU.sparse.map': f'{1 << 40},0'}
        layer = archives.tar([(info, b'')])
        self.refused(archives.docker25([layer]), 'sparse')
        self.refused(archives.oci([layer]), 'sparse')

    def test_layer_that_ends_in_a_file(self):
        self.refused(archives.docker25([BASE[:1100]]), 'truncated')

    def test_too_many_files(self):
        self.refused(archives.tar((f'{x}', b'') for x in range(5000)), '4096')

    def test_much_small_metadata(self):
        self.refused(archives.tar(
            (f'{x}', bytes([1]) * (3 * MiB)) for x in range(6)), 'metadata')

    def test_config_of_many_bytes(self):
        config = archives.config([], config={'x': 'x' * (4 * MiB)})
        self.refused(archives.docker25([], config), 'configuration')


class NotAnArchiveTestCase(Case):

    def test_empty(self):
        self.refused(b'', 'empty')

    def test_other_data(self):
        for data in (b'x', b'QFI\xfb' + bytes(MiB),
                     random.Random(1).randbytes(5000), gzip.compress(b'hello'),
                     b'\0'):
            self.refused(data)

    def test_zeros(self):
        self.refused(bytes(MiB), 'docker save')

    def test_other_compressions(self):
        self.refused(bz2.compress(archives.docker25([BASE])), 'bzip2', 'gzip')

    def test_other_compressions_of_a_layer(self):
        for data, name in ((lzma.compress(BASE), 'xz'),
                           (bz2.compress(BASE), 'bzip2')):
            self.refused(archives.tar([('base', data), CONFIG_BLOB, MANIFEST]),
                         name, 'gzip or zstd')

    def test_layer_that_the_engine_could_take_for_packed(self):
        # The name of the first file in it is the magic of a skippable frame.
        layer = archives.layer(('P*M\x18', b'x'))
        self.refused(archives.docker25([layer]), 'zstd')

    def test_root_filesystem(self):
        link = archives.link('./bin/sh', 'busybox')
        for members in (
                [('bin/busybox', b'x'), link],
                [archives.directory('./'), archives.directory('./usr/'),
                 archives.link('./usr/a', './usr/b', tarfile.LNKTYPE)],
                [('etc/passwd', b'x')]):
            self.refused(archives.tar(members), 'docker_image_type=rootfs',
                         'a root filesystem')

    def test_damaged_gzip(self):
        data = bytearray(gzip.compress(archives.docker25([BASE, TOP])))
        data[-8] ^= 1
        self.refused(bytes(data), 'damaged')
        self.refused(gzip.compress(archives.docker25([BASE])) + b'junk',
                     'damaged')

    def test_truncated_anywhere(self):
        for data in (archives.docker25([BASE, TOP]),
                     archives.oci([BASE, TOP]),
                     gzip.compress(archives.docker20([BASE, TOP]))):
            # The last zeros of a tar archive are only there to fill it up.
            end = len(data.rstrip(b'\0'))
            for length in [*range(0, end, 331), end - 1]:
                self.refused(data[:length])

    def test_other_architecture(self):
        config = archives.config([BASE], architecture='arm64')
        self.refused(archives.docker25([BASE], config),
                     'linux/arm64', 'linux/amd64')
        self.assert_safe(rewrite(archives.docker25([BASE], config),
                                 architecture='arm64'))

    def test_any_architecture(self):
        config = archives.config([BASE], architecture='s390x')
        parts = rewriter(archives.docker25([BASE], config), architecture=None)
        self.assert_safe(b''.join(parts))
        self.assertEqual('s390x', parts.facts.architecture)

    def test_compatible_architecture(self):
        config = archives.config([BASE], architecture='386')
        self.assert_safe(rewrite(archives.docker25([BASE], config)))

    def test_other_system(self):
        config = archives.config([BASE], os='windows')
        self.refused(archives.docker25([BASE], config), 'windows/amd64')


class Zeros:
    """A source: a head and then very many zeros, gzip'd or not."""

    def __init__(self, head, zeros, compress=False):
        self._head = head
        self._left = zeros
        self._gzip = zlib.compressobj(1, wbits=31) if compress else None
        self.given = 0

    def read(self, size):
        data = b''
        while not data and (self._head or self._left):
            data, self._head = self._head, b''
            if not data:
                data = bytes(min(size, self._left))
                self._left -= len(data)
            if self._gzip:
                data = self._gzip.compress(data)
        self.given += len(data)
        return data


def large_layer(size):
    """The beginning of an archive with a layer of one file of zeros."""
    info = tarfile.TarInfo('zeros')
    info.size = size
    inner = info.tobuf(tarfile.GNU_FORMAT)
    info.name = 'base'
    info.size += len(inner)
    return info.tobuf(tarfile.GNU_FORMAT) + inner


class BombTestCase(Case):

    def too_large(self, parts):
        def read():
            for _piece in parts:
                pass

        return self.assertRaises(archive.TooLarge, read).size

    def test_layer_is_refused_before_it_is_read(self):
        source = Zeros(large_layer(1 << 40), 1 << 40)
        size = self.too_large(
            archive.Rewriter(source, REFERENCE, 'amd64', MiB))
        self.assertEqual((1 << 40) + 512, size)
        self.assertLess(source.given, MiB)

    def test_layers_together(self):
        data = archives.docker25([BASE, TOP])
        size = len(BASE) + len(TOP)
        self.assert_safe(rewrite(data, limit=size))
        self.too_large(rewriter(data, limit=size - 1))
        self.too_large(rewriter(archives.oci([BASE, TOP]), limit=size - 1))

    def test_layer_that_counts_more_than_once(self):
        data = archives.oci([BASE] * 100)
        self.assert_safe(rewrite(data, limit=100 * len(BASE)))
        self.too_large(rewriter(data, limit=100 * len(BASE) - 1))

    def test_gzip_layer(self):
        inner = gzip.compress(
            archives.layer(('zeros', bytes(64 * MiB))), 9)
        data = archives.tar([('base', inner), CONFIG_BLOB, MANIFEST])
        self.assertLess(len(data), MiB)
        size = self.too_large(rewriter(data, limit=8 * MiB))
        self.assertLess(size, 9 * MiB)

    def test_gzip_layer_of_nothing(self):
        # Empty blocks: much to read, nothing comes out.
        nothing = zlib.compressobj(wbits=31)
        data = nothing.compress(b'') + b'\0\0\0\xff\xff' * MiB
        self.too_large(rewriter(archives.tar([('base', data)]), limit=MiB))

    def test_outer_gzip(self):
        source = Zeros(large_layer(1 << 40), 1 << 40, compress=True)
        self.too_large(archive.Rewriter(source, REFERENCE, 'amd64', 64 * MiB))
        self.assertLess(source.given, MiB)

    def test_besides_the_layers(self):
        info = tarfile.TarInfo('sbom')
        info.size = 1 << 40
        for head in (info.tobuf(tarfile.GNU_FORMAT) + b'x' * 512,
                     archives.docker25([BASE])):
            source = Zeros(head, 1 << 40, compress=True)
            parts = archive.Rewriter(source, REFERENCE, 'amd64')
            error = self.assertRaises(archive.Refused, list, parts)
            self.assertIn('besides', str(error))
            self.assertLess(source.given, 8 * MiB)

    def test_memory(self):
        for compress in (False, True):
            source = Zeros(large_layer(300 * MiB), 300 * MiB, compress)
            parts = archive.Rewriter(source, REFERENCE, 'amd64')
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)

            def read():
                for _piece in parts:
                    pass

            self.assertRaises(archive.Refused, read)
            _now, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(peak, 4 * MiB)


class FuzzTestCase(Case):
    """Damaged archives are refused or come out right."""

    ROUNDS = 150

    def _damage(self, data, rng):
        data = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at, other = (rng.randrange(len(data) // 512) * 512
                         for _ in range(2))
            match rng.randrange(5):
                case 0:
                    data[rng.randrange(len(data))] = rng.randrange(256)
                case 1:
                    del data[at:at + 512]
                case 2:
                    data[at:at] = data[other:other + 512]
                case 3:
                    data[at:at + 512] = data[other:other + 512]
                case 4:
                    data[at:at + 512] = bytes(512)
            if len(data) < 1024:
                break
        return bytes(data)

    def test_damaged(self):
        rng = random.Random(20261123)
        accepted = 0
        for layout in archives.LAYOUTS.values():
            original = layout([BASE, TOP], CONFIG)
            for _ in range(self.ROUNDS):
                data = self._damage(original, rng)
                try:
                    result = rewrite(data)
                except archive.Refused:
                    continue
                accepted += 1
                self.assert_safe(result)
        self.assertGreater(accepted, 0)

    def test_members_in_any_order(self):
        rng = random.Random(20261124)
        members = [*LAYERS, CONFIG_BLOB, MANIFEST, ('VERSION', b'1.0'),
                   archives.link('l/layer.tar', '../base')]
        expected = hashlib.sha256(CONFIG).hexdigest()
        for _ in range(50):
            rng.shuffle(members)
            parts = rewriter(archives.tar(members))
            self.assertEqual([BASE, TOP], self.assert_safe(b''.join(parts)))
            self.assertEqual('sha256:' + expected, parts.facts.config_digest)
