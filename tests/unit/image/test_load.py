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
import itertools
import lzma
import threading
import time
from unittest import mock

from backports import zstd
import cryptography.exceptions
from cursive import exception as cursive_exception
from nova import context as nova_context
from nova import exception
from nova.image import glance
from nova import objects
from nova import test
from nova.tests.unit import fake_instance
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.image import load
from nova_docker.image import source
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import engine

LAYER = archives.layer(('hello', b'hello' * 1000))
ARCHIVE = archives.docker25([LAYER])
CHECKSUM = 'c' * 32


class Engine(engine.FakeEngine):
    """Counts its loads; can fail in the middle of one."""

    def __init__(self):
        super().__init__()
        self.loads = 0
        #: Bytes of each.
        self.sent = []
        #: How many of them did not break off.
        self.complete = 0
        #: Raised when the first piece was read.
        self.error = None
        #: What it says of the size of an image.
        self.size = None

    def load_image(self, archive):
        self.loads += 1
        archive = iter(archive)
        first = next(archive, b'')
        if self.error:
            raise self.error
        self.complete += 1
        try:
            super().load_image(self._count(itertools.chain((first,), archive)))
        except errors.EngineError:
            raise
        except Exception:
            self.complete -= 1
            raise

    def _count(self, pieces):
        self.sent.append(0)
        for piece in pieces:
            self.sent[-1] += len(piece)
            yield piece

    def inspect_image(self, reference):
        size = {'Size': self.size} if self.size else {}
        return super().inspect_image(reference) | size

    @property
    def references(self):
        return [tag for image in self.list_images(())
                for tag in image['RepoTags']]


class FakeGlance:
    """An image API whose one image comes in small chunks."""

    def __init__(self, data=ARCHIVE, chunk=1000):
        self.data = data
        self.chunk = chunk
        self.downloads = 0
        #: Raised before the chunk with this number.
        self.error = None
        self.error_at = 0
        #: Raised after all data, as a wrong signature is.
        self.end_error = None
        self.trusted_certs = None
        self.gate = None

    def get(self, context, image_id):
        return {'id': image_id, 'checksum': CHECKSUM}

    def download(self, context, image_id, data=None, dest_path=None,
                 trusted_certs=None):
        self.downloads += 1
        self.trusted_certs = trusted_certs
        if self.gate:
            self.gate.wait(20)
        for number, at in enumerate(range(0, len(self.data), self.chunk)):
            if self.error and number == self.error_at:
                raise self.error
            data.write(self.data[at:at + self.chunk])
        if self.end_error:
            raise self.end_error


class Case(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.engine = Engine()
        self.glance = FakeGlance()
        self.context = nova_context.RequestContext('user', 'project')
        self.reference = names.image_reference(uuids.image, CHECKSUM)
        # So that a writer that nobody reads from blocks at once.
        self.patch_source('_AHEAD', 2000)
        self.addCleanup(self.assert_no_thread)

    def patch_source(self, name, value):
        patcher = mock.patch.object(source, name, value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def assert_no_thread(self):
        self.assertEqual([], [thread for thread in threading.enumerate()
                              if thread.name.startswith('download-')])

    def meta(self, **changes):
        fields = {'id': uuids.image, 'checksum': CHECKSUM, 'size': 5000,
                  'disk_format': 'raw', 'container_format': 'docker'}
        return objects.ImageMeta.from_dict(fields | changes)

    def request(self, meta=None, glance=None, properties=None, **kwargs):
        return source.Request(self.engine, glance or self.glance, self.context,
                              meta or self.meta(), properties or {}, **kwargs)

    def ensure(self, **kwargs):
        return load.ensure(self.request(**kwargs))

    def fails(self, error, text='', **kwargs):
        """Assert a failure of ensure() after which nothing is left."""
        raised = self.assertRaises(error, self.ensure, **kwargs)
        self.assertIn(text, str(raised))
        self.assertEqual([], self.engine.references)
        self.assert_no_thread()
        return raised


class EnsureTestCase(Case):

    def test_load(self):
        image = self.ensure()
        self.assertEqual(self.reference, image.reference)
        self.assertEqual('sha256:' + archives.digest(
            archives.config([LAYER])), image.id)
        self.assertEqual(len(LAYER), image.size)
        self.assertEqual({'Cmd': ['/hello']}, image.config)
        self.assertEqual([self.reference], self.engine.references)

    def test_present(self):
        first = self.ensure()
        self.assertEqual(first, self.ensure())
        self.assertEqual(1, self.glance.downloads)

    def test_trusted_certs_are_passed_on(self):
        self.ensure(trusted_certs=mock.sentinel.certs)
        self.assertEqual(mock.sentinel.certs, self.glance.trusted_certs)

    # Layers that the engine has

    def test_second_image_on_the_same_layers(self):
        self.ensure()
        top = archives.layer(('top', b'top'))
        glance = FakeGlance(archives.docker25([LAYER, top]))
        image = self.ensure(glance=glance, meta=self.meta(id=uuids.other))
        self.assertEqual(len(LAYER + top), image.size)
        first, second = self.engine.sent
        self.assertGreater(first, len(LAYER))
        self.assertLess(second, len(top) + 5000)
        self.assertEqual(1, glance.downloads)

    def test_second_image_on_a_containerd_store(self):
        self.engine.details['DriverStatus'] = [
            ['driver-type', 'io.containerd.snapshotter.v1']]
        self.ensure()
        self.ensure(meta=self.meta(id=uuids.other))
        first, second = self.engine.sent
        self.assertEqual(first, second)

    def test_same_layer_on_another_one(self):
        # Its name says that it is there, and only its stack that it is not.
        self.ensure()
        other = archives.layer(('other', b'other'))
        glance = FakeGlance(archives.docker25([other, LAYER]))
        image = self.ensure(glance=glance, meta=self.meta(id=uuids.other))
        self.assertEqual(len(LAYER + other), image.size)
        self.assertEqual(2, glance.downloads)

    def test_layers_that_go_meanwhile(self):
        first = self.ensure()
        removed = []

        class Glance(FakeGlance):
            def download(glance, *args, **kwargs):
                if not removed:
                    removed.append(self.engine.remove_image(first.reference))
                super().download(*args, **kwargs)

        glance = Glance()
        self.ensure(glance=glance, meta=self.meta(id=uuids.other))
        self.assertEqual(2, glance.downloads)
        self.assertEqual(3, len(self.engine.sent))

    def test_bad_image_is_not_tried_again_for_nothing(self):
        self.ensure()
        self.engine.error = errors.BadRequest('max depth exceeded', 400)
        glance = FakeGlance(archives.docker20([LAYER]))
        self.assertRaises(exception.ImageUnacceptable, self.ensure,
                          glance=glance, meta=self.meta(id=uuids.other))
        self.assertEqual(1, glance.downloads)

    def test_one_load_for_all_who_wait(self):
        self.glance.gate = threading.Event()
        images = []
        threads = [threading.Thread(
            target=lambda: images.append(self.ensure())) for _ in range(8)]
        for thread in threads:
            thread.start()
        self.glance.gate.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual(8, len(images))
        self.assertEqual(1, len(set(image.id for image in images)))
        self.assertEqual(1, self.engine.loads)
        self.assertEqual(1, self.glance.downloads)

    def test_two_images_load_side_by_side(self):
        # The second gets through while the first one waits for Glance.
        self.glance.gate = threading.Event()
        thread = threading.Thread(target=self.ensure)
        thread.start()
        other = self.ensure(glance=FakeGlance(),
                            meta=self.meta(id=uuids.other))
        self.assertIn(other.reference, self.engine.references)
        self.assertNotIn(self.reference, self.engine.references)
        self.glance.gate.set()
        thread.join(60)
        self.assertIn(self.reference, self.engine.references)

    def test_who_waits_tries_again_after_a_failure(self):
        self.glance.error = exception.ImageNotFound(image_id=uuids.image)
        self.fails(exception.ImageNotFound)
        self.glance.error = None
        self.ensure()
        self.assertEqual([self.reference], self.engine.references)

    # What is wrong with the image

    def test_virtual_machine_image(self):
        for disk, container, properties in (
                ('qcow2', 'bare', {}), ('raw', 'bare', {}),
                ('vmdk', 'bare', {}), ('iso', 'bare', {}), ('ami', 'ami', {}),
                ('qcow2', 'docker', {}), (None, None, {}),
                ('raw', 'bare', {'image_type': 'disk'}),
                ('qcow2', 'bare', {'image_type': 'rootfs'})):
            self.fails(exception.ImageUnacceptable,
                       f'formats {container or ""}/{disk or ""}; containers',
                       meta=self.meta(disk_format=disk,
                                      container_format=container),
                       properties=properties)
        self.assertEqual(0, self.glance.downloads)

    def test_formats_not_set(self):
        self.fails(exception.ImageUnacceptable,
                   meta=objects.ImageMeta.from_dict({'id': uuids.image}))

    def test_no_data(self):
        for size in (0, None):
            self.fails(exception.ImageUnacceptable, 'no data',
                       meta=self.meta(size=size))
        self.glance.data = b''
        self.fails(exception.ImageUnacceptable, 'empty')

    def test_unacceptable_archive(self):
        for data, text in (
                (b'QFI\xfb\0\0\0\3' + bytes(100000), 'disk image (qcow2)'),
                (b'junk' * 100000, 'not a tar'),
                (ARCHIVE[:3000], 'truncated'),
                (gzip.compress(ARCHIVE)[:-50], 'truncated'),
                (archives.docker25([LAYER], archives.config(
                    [LAYER], architecture='s390x')), 'linux/s390x')):
            self.glance.data = data
            self.fails(exception.ImageUnacceptable, text)
        # A request that breaks off is not forgotten by a containerd store.
        self.assertEqual(self.engine.loads, self.engine.complete)

    def test_early_refusal_stops_the_download(self):
        written = []

        class Endless(FakeGlance):
            def download(self, context, image_id, data=None, **kwargs):
                while True:
                    written.append(data.write(b'x' * 1000))

        self.glance = Endless()
        self.fails(exception.ImageUnacceptable, 'not a tar')
        self.assertLess(len(written), 10)

    def test_too_large(self):
        error = self.fails(exception.FlavorDiskSmallerThanImage,
                           root_bytes=len(LAYER) - 1)
        self.assertIn(f'disk is {len(LAYER) - 1} bytes', str(error))
        self.assertIn(f'image is {len(LAYER)} bytes', str(error))
        self.ensure(root_bytes=len(LAYER))

    def test_present_and_too_large_for_this_flavor(self):
        self.ensure()
        self.assertRaises(exception.FlavorDiskSmallerThanImage, self.ensure,
                          root_bytes=len(LAYER) - 1)
        self.assertEqual([self.reference], self.engine.references)

    def test_too_large_as_the_engine_counts(self):
        self.engine.size = 10 ** 9
        self.fails(exception.FlavorDiskSmallerThanImage, '1000000000',
                   root_bytes=10 ** 6)

    # What is wrong with Glance

    def test_image_gone(self):
        self.glance.error = exception.ImageNotFound(image_id=uuids.image)
        for self.glance.error_at in (0, 5):
            self.fails(exception.ImageNotFound)

    def test_download_breaks(self):
        self.glance.error = OSError('broken')
        for self.glance.error_at in (0, 5):
            self.fails(exception.CouldNotFetchImage, uuids.image)
        self.assertEqual(2, self.engine.complete)

    def test_download_breaks_at_its_end(self):
        # The engine must not have seen the manifest by then.
        self.glance.end_error = OSError('Corrupt image download')
        self.fails(exception.CouldNotFetchImage)

    def test_wrong_signature(self):
        self.glance.end_error = cryptography.exceptions.InvalidSignature()
        self.fails(exception.ImageUnacceptable, 'signature')
        self.glance.end_error = cursive_exception.SignatureVerificationError(
            reason='no key')
        self.fails(cursive_exception.SignatureVerificationError, 'no key')

    def test_glance_stalls(self):
        self.patch_source('_STALL', 0.1)
        self.patch_source('_STOP', 0.1)
        self.glance.gate = threading.Event()
        self.assertRaises(exception.CouldNotFetchImage, self.ensure)
        self.assertEqual([], self.engine.references)
        self.assertEqual(1, self.engine.complete)
        self.glance.gate.set()
        deadline = time.monotonic() + 20
        while (time.monotonic() < deadline
               and any(x.name.startswith('download-')
                       for x in threading.enumerate())):
            time.sleep(0.01)

    # What is wrong with the engine

    def test_engine_fails_midway(self):
        for self.engine.error in (errors.Unavailable('gone'),
                                  errors.ServerError('disk full', 500)):
            self.fails(type(self.engine.error), str(self.engine.error))

    def test_engine_refuses_the_image(self):
        self.engine.error = errors.BadRequest('max depth exceeded', 400)
        self.fails(exception.ImageUnacceptable, 'max depth exceeded')

    def test_engine_fails_after_the_load(self):
        self.engine.fail_next('load_image', errors.Unavailable('gone'),
                              after=True)
        self.fails(errors.Unavailable)

    def test_engine_away(self):
        self.engine.go_down()
        self.assertRaises(errors.Unavailable, self.ensure)
        self.assertEqual(0, self.glance.downloads)

    def test_undo_fails(self):
        self.engine.fail_next('load_image', errors.ServerError('first', 500),
                              after=True)
        self.engine.fail_next('remove_image', errors.Unavailable('second'))
        error = self.assertRaises(errors.ServerError, self.ensure)
        self.assertIn('first', str(error))

    # An instance's own image metadata has no checksum

    def instance_meta(self):
        instance = fake_instance.fake_instance_obj(
            self.context, image_ref=uuids.image, expected_attrs=[
                'system_metadata'], system_metadata={
                'image_disk_format': 'raw', 'image_container_format': 'docker',
                'image_base_image_ref': uuids.image})
        meta = instance.image_meta
        self.assertFalse(meta.obj_attr_is_set('checksum'))
        return meta

    def test_present_without_checksum(self):
        first = self.ensure()
        self.glance.get = mock.Mock(
            side_effect=exception.ImageNotFound(image_id=uuids.image))
        self.assertEqual(first, self.ensure(meta=self.instance_meta()))

    def test_load_without_checksum(self):
        image = self.ensure(meta=self.instance_meta())
        self.assertEqual(self.reference, image.reference)

    def test_gone_without_checksum(self):
        self.glance.get = mock.Mock(
            side_effect=exception.ImageNotFound(image_id=uuids.image))
        self.fails(exception.ImageNotFound, meta=self.instance_meta())


class RootFilesystemTestCase(Case):

    ROOT = archives.tar([archives.directory('./'),
                         archives.directory('./bin/'),
                         ('./bin/sh', b'sh' * 3000)])

    def setUp(self):
        super().setUp()
        self.glance.data = self.ROOT

    def request(self, meta=None, properties=None, **kwargs):
        return super().request(
            meta or self.meta(container_format='bare'),
            properties=properties or {'image_type': 'rootfs'}, **kwargs)

    def test_import(self):
        for pack in (bytes, gzip.compress, bz2.compress, lzma.compress,
                     zstd.compress):
            self.glance.data = pack(self.ROOT)
            image = self.ensure()
            self.assertEqual([self.reference], self.engine.references)
            self.assertEqual({}, image.config)
            found = self.engine.inspect_image(self.reference)
            self.assertEqual(('linux', 'amd64'),
                             (found['Os'], found['Architecture']))
            self.assertEqual(['sha256:' + archives.digest(
                self.ROOT.rstrip(b'\0') + bytes(-len(
                    self.ROOT.rstrip(b'\0')) % 512 + 1024))],
                found['RootFS']['Layers'])
            self.assertEqual(image, self.ensure())
            self.engine.remove_image(self.reference)
        self.assertEqual(0, self.engine.loads)

    def test_unacceptable(self):
        for data, text in (
                (b'', 'empty'), (b'junk' * 500, 'not a tar'),
                (self.ROOT[:2000], 'truncated'),
                (gzip.compress(self.ROOT)[:-10], 'truncated'),
                (ARCHIVE, 'container_format docker')):
            self.glance.data = data
            self.fails(exception.ImageUnacceptable, text)

    def test_too_large(self):
        self.fails(exception.FlavorDiskSmallerThanImage, root_bytes=6000)

    def test_download_breaks(self):
        self.glance.error = OSError('broken')
        for self.glance.error_at in (0, 5):
            self.fails(exception.CouldNotFetchImage, uuids.image)

    def test_wrong_signature(self):
        self.glance.end_error = cryptography.exceptions.InvalidSignature()
        self.fails(exception.ImageUnacceptable, 'signature')

    def test_the_engine_can_not_unpack_it(self):
        # Some stores keep an image that they fail to unpack.
        self.engine.fail_next('import_image', errors.ServerError(
            'failed to unpack: no such link target', 500), after=True)
        self.fails(exception.ImageUnacceptable, 'no such link target')

    def test_snapshot_of_a_server_made_of_one(self):
        # Its system metadata are still those of the root filesystem.
        self.glance.data = ARCHIVE
        self.ensure(meta=self.meta())
        self.assertEqual(1, self.engine.loads)


class NovaImageAPITestCase(test.NoDBTestCase):
    """With Nova's own image API on top of a Glance client."""

    class Verifier:
        def __init__(self, signed):
            self._signed = signed
            self._data = b''

        def update(self, data):
            self._data += data

        def verify(self):
            if self._data != self._signed:
                raise cryptography.exceptions.InvalidSignature()

    def ensure(self, data, signed):
        fake = Engine()
        chunks = mock.MagicMock(wrapped=True)
        chunks.__iter__.return_value = iter(
            [data[at:at + 65536] for at in range(0, len(data), 65536)])
        meta = objects.ImageMeta.from_dict({
            'id': uuids.image, 'checksum': CHECKSUM, 'size': len(data),
            'disk_format': 'raw', 'container_format': 'docker'})
        with mock.patch.object(
                glance.GlanceClientWrapper, 'call', autospec=True,
                return_value=chunks), mock.patch.object(
                glance.GlanceImageServiceV2, '_get_verifier', autospec=True,
                return_value=signed and self.Verifier(signed)):
            try:
                load.ensure(source.Request(
                    fake, glance.API(),
                    nova_context.RequestContext('user', 'project'), meta, {}))
            finally:
                self.images = fake.references

    def test_unsigned(self):
        self.ensure(ARCHIVE, None)
        self.assertEqual(1, len(self.images))

    def test_signed(self):
        self.ensure(ARCHIVE, ARCHIVE)
        self.assertEqual(1, len(self.images))

    def test_wrong_signature(self):
        # Every byte that matters to the image is as it was signed.
        error = self.assertRaises(exception.ImageUnacceptable, self.ensure,
                                  ARCHIVE + bytes(512), ARCHIVE)
        self.assertIn('signature', str(error))
        self.assertEqual([], self.images)

    def test_refused(self):
        error = self.assertRaises(exception.ImageUnacceptable, self.ensure,
                                  b'QFI' * 2000000, None)
        self.assertIn('not a tar', str(error))
        self.assertEqual([], self.images)
