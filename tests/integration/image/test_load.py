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

"""Archives of images on a real engine, with each of its image stores."""

import gzip
import json
import lzma
import os
import tarfile
import threading

from backports import zstd
import docker
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from tests.fixtures import archives
from tests.fixtures import busybox
from tests.integration.image import base

BASE = archives.layer(('bin/secret', b'secret' * 1000))
TOP = archives.layer(('hello', os.urandom(1 << 20)))
VICTIM = 'victim:1'


class Cases:
    """What holds for each store."""

    def test_every_layout(self):
        for name, layout in archives.LAYOUTS.items():
            data = layout([BASE, TOP, BASE])
            for stored in (data, gzip.compress(data, 1), zstd.compress(data)):
                image = self.ensure(stored)
                self.assertEqual([image.reference], self.engine.inspect_image(
                    image.reference)['RepoTags'], name)
                self.assertEqual(['/hello'], image.config['Cmd'])
                self.assertLess(set(['/bin/secret', '/hello']),
                                set(self.files(image.reference)))
                self.remove(image.reference)

    def test_layers_with_zstd(self):
        packed = [zstd.compress(BASE),
                  zstd.compress(TOP[:999]) + zstd.compress(TOP[999:])]
        image = self.ensure(archives.tar([
            *zip(('base', 'top'), packed),
            ('config', archives.config([BASE, TOP])),
            archives.manifest('config', ['base', 'top'])]))
        self.assertEqual(b'secret' * 1000,
                         self.read(image.reference, '/bin/secret'))

    def test_several_platforms(self):
        host = self.engine.version()['Arch']
        image = self.ensure(archives.platforms(
            ([BASE], archives.config([BASE], architecture='other')),
            ([TOP], archives.config([TOP], architecture=host))))
        self.assertIn('/hello', self.files(image.reference))
        self.assertNotIn('/bin/secret', self.files(image.reference))

    def test_what_this_engine_saves(self):
        busybox_image = self.load(busybox.archive(), 'busybox:latest')
        container = self.client.create_container('busybox:latest')['Id']
        self.client.put_archive(container, '/', archives.layer(
            ('bin/new', b'#!/bin/sh\necho new file\n')))
        self.client.commit(container, 'changed', '1')
        self.client.remove_container(container)
        for name in ('changed:1', busybox_image['Id']):
            saved = b''.join(self.client.get_image(name))
            image = self.ensure(saved)
            expected = self.engine.inspect_image(name)
            found = self.engine.inspect_image(image.reference)
            self.assertEqual(expected['RootFS'], found['RootFS'])
            self.assertEqual('hello', self.run_in(
                image.reference, 'echo hello'))
            if name == 'changed:1':
                self.assertEqual('new file', self.run_in(
                    image.reference, '/bin/new'))
        self.engine.remove_image('changed:1')

    def test_no_tag_is_stolen(self):
        victim = self.load(archives.docker25([BASE], tags=[VICTIM]), VICTIM)
        for data in (archives.docker25([TOP], tags=[VICTIM]),
                     archives.docker20([TOP]), archives.oci([TOP])):
            image = self.ensure(data)
            self.assertNotIn('/bin/secret', self.files(image.reference))
            self.assertEqual(victim['Id'],
                             self.engine.inspect_image(VICTIM)['Id'])
        self.assertNotIn('busybox:1', self.tags())

    def test_layers_of_others_are_not_read(self):
        self.load(archives.docker25([BASE], tags=[VICTIM]), VICTIM)
        config = archives.config([BASE])
        member = archives.manifest('config', ['layer'], ['thief:1'])
        self.refused(archives.tar([('config', config), member]), 'lacks')
        # Nor when the name says which layer it is.
        name = archives.blob(BASE)[0]
        named = archives.manifest('config', [name], ['thief:1'])
        self.refused(archives.tar([('config', config), named]), 'lacks')
        self.refused(archives.tar([('config', config), (name, TOP), named]),
                     'does not match')
        pretended = archives.tar([('config', config), ('layer', TOP), member])
        self.refused(pretended, 'does not match')
        spelling = json.loads(archives.config([TOP]))
        spelling['ROOTFS'] = json.loads(config)['rootfs']
        self.refused(archives.tar([
            ('config', archives.as_json(spelling)), ('layer', TOP), member]),
            'odd key')
        # What all this is for: the engine itself would hand it out.
        self.load(pretended, 'thief:1')
        self.assertIn('/bin/secret', self.files('thief:1'))

    def test_refused(self):
        data = archives.docker25([BASE, TOP])
        self.refused(b'QFI\xfb' * (1 << 20), 'qcow2')
        self.refused(b'junk' * (1 << 20), 'not a tar')
        self.refused(data[:1 << 20], 'truncated')
        self.refused(gzip.compress(data)[:-100], 'truncated')
        self.refused(base.Glance(data, breaks_at=1 << 19), 'Could not fetch',
                     exception.CouldNotFetchImage)
        self.refused(data, 'too small', exception.FlavorDiskSmallerThanImage,
                     root_bytes=len(TOP) - 1)
        self.assert_nothing_left()

    def test_download_that_fails_at_its_end(self):
        data = archives.docker25([BASE, TOP])
        for stored in (data, gzip.compress(data)):
            self.refused(base.Glance(stored, breaks_at=len(stored)),
                         'Could not fetch', exception.CouldNotFetchImage)
        self.assert_nothing_left()

    def test_damaged_in_the_middle(self):
        data = bytearray(archives.oci([TOP]))
        data[len(data) // 2] ^= 1
        self.refused(bytes(data), '')
        for pack in (gzip.compress, lzma.compress):
            data = bytearray(pack(archives.docker25([TOP])))
            data[len(data) // 2] ^= 1
            self.refused(bytes(data), '')
        data = zstd.compress(archives.docker25([TOP]))
        self.refused(data[:len(data) // 2] + b'junk' * 1000, '')
        self.assert_nothing_left()

    def test_bombs(self):
        layer = archives.layer(('bomb', bytes(64 << 20)))
        for data in (archives.oci([layer]),
                     gzip.compress(archives.docker25([layer])),
                     zstd.compress(archives.docker25([layer])),
                     lzma.compress(archives.docker25([layer])),
                     archives.tar([
                         ('layer', zstd.compress(layer)),
                         ('config', archives.config([layer])),
                         archives.manifest('config', ['layer'])])):
            self.refused(data, 'too small',
                         exception.FlavorDiskSmallerThanImage,
                         root_bytes=1 << 20)
        self.assert_nothing_left()

    def test_large_windows(self):
        packed = zstd.ZstdCompressor(options={
            zstd.CompressionParameter.window_log: 27})
        data = packed.compress(TOP) + packed.flush()
        self.refused(archives.tar([
            ('layer', data), ('config', archives.config([TOP])),
            archives.manifest('config', ['layer'])]), 'memory')
        self.assert_nothing_left()

    def test_names_that_lead_out_of_the_layer(self):
        for member in base.leading_out():
            with base.untouched(self):
                self.try_layer(archives.tar([('bin/ok', b''), member]))

    def try_layer(self, layer):
        """Load a layer, and unpack it, as far as the engine does."""
        try:
            image = self.ensure(archives.docker25([layer]))
            self.assertEqual([], [
                name for name in self.files(image.reference)
                if '..' in name.split('/')])
            self.remove(image.reference)
        except (exception.ImageUnacceptable, docker.errors.APIError):
            pass

    def test_sparse_bomb(self):
        info = tarfile.TarInfo('bomb')
        info.pax_headers = {'GNU.sparse.size': str(1 << 40),
                            'GNU.sparse.map': f'{1 << 40},0'}
        self.refused(archives.docker25([archives.tar([(info, b'')])]),
                     'sparse')

    def test_layer_that_cannot_be_unpacked(self):
        odd = archives.tar([archives.link('a', 'absent', tarfile.LNKTYPE)])
        try:
            image = self.ensure(archives.docker25([odd, TOP]))
        except exception.ImageUnacceptable as error:
            self.assertIn('absent', str(error))
            self.assertEqual(self.before[1], self.left()[1])
        else:
            # Engine 28 with the containerd store unpacks it at create only.
            error = self.assertRaises(
                errors.ServerError, self.engine.create_container,
                'nova-docker-test-odd', {'Image': image.reference})
            self.assertIn('absent', str(error))

    def test_load_after_one_that_broke_off(self):
        data = archives.docker25([TOP])

        def broken():
            yield data[:1 << 19]
            raise OSError('as when nova-compute is killed')

        self.assertRaises(OSError, self.engine.load_image, broken())
        self.before = self.left()[0], self.before[1]
        self.assertIn('/hello', self.files(self.ensure(data).reference))

    def test_second_image_on_the_same_layers(self):
        first, second = (archives.docker25([TOP, archives.layer(
            ('second', b'x' * size))]) for size in (1000, 2000))
        self.ensure(first)
        image = self.ensure(second)
        self.assertEqual(b'x' * 2000, self.read(image.reference, '/second'))
        self.assertLess(len(TOP), self.engine.sent[0])
        self.assertEqual(self.shares, self.engine.sent[1] < 20000)
        self.assertEqual(2, len(self.engine.sent))

    def test_same_layers_in_another_order(self):
        self.ensure(archives.docker25([BASE, TOP]))
        image = self.ensure(archives.docker25([TOP, BASE]))
        self.assertLess(set(['/bin/secret', '/hello']),
                        set(self.files(image.reference)))

    def test_shared_layers_that_go_meanwhile(self):
        first = self.ensure(archives.docker25([TOP]))
        glance = base.Glance(archives.docker25([TOP, BASE]))
        glance.called = lambda: self.remove(first.reference)
        image = self.ensure(glance)
        self.assertLess(set(['/bin/secret', '/hello']),
                        set(self.files(image.reference)))
        self.assertEqual(1 + self.shares, glance.downloads)

    def test_two_at_once_load_once(self):
        glance = base.Glance(archives.docker25([BASE, TOP]))
        meta = self.meta()
        images = []
        threads = [threading.Thread(target=lambda: images.append(
            self.ensure(glance, meta=meta))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(2, len(images))
        self.assertEqual(images[0], images[1])
        self.assertEqual(1, glance.downloads)

    def test_different_images_at_once(self):
        layers = [archives.layer(('hello', os.urandom(1 << 20)))
                  for _ in range(4)]
        images = []
        threads = [threading.Thread(target=lambda layer=layer: images.append(
            self.ensure(archives.docker25([BASE, layer]))))
            for layer in layers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(4, len(set(image.id for image in images)))

    def test_present_without_checksum_nor_glance(self):
        first = self.ensure(archives.docker25([TOP]),
                            meta=self.meta(id=uuids.image))
        meta = objects.ImageMeta.from_dict({
            'id': uuids.image, 'disk_format': 'raw',
            'container_format': 'docker'})
        self.assertEqual(first, self.ensure(b'', meta=meta))


class ClassicStoreTestCase(Cases, base.ClassicStore):

    shares = True


class ContainerdStoreTestCase(Cases, base.ContainerdStore):

    shares = False
