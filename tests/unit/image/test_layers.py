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

from oslotest import base

from nova_docker.image import compression
from nova_docker.image import layers
from nova_docker.image import tar
from tests.fixtures import archives
from tests.fixtures import engine

BASE, TOP = (archives.layer((name, b'data')) for name in ('base', 'top'))
BASE_ID, TOP_ID = ('sha256:' + archives.digest(x) for x in (BASE, TOP))


class PresentTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.engine.load_image([archives.docker25([BASE, TOP], tags=['a:1'])])

    def test_each_stack(self):
        self.assertEqual({(BASE_ID,), (BASE_ID, TOP_ID)},
                         layers.present(self.engine))
        self.engine.load_image([archives.docker25([TOP], tags=['b:1'])])
        self.assertEqual({(BASE_ID,), (BASE_ID, TOP_ID), (TOP_ID,)},
                         layers.present(self.engine))

    def test_no_images(self):
        self.engine.remove_image('a:1')
        self.assertEqual(frozenset(), layers.present(self.engine))

    def test_image_that_goes_meanwhile(self):
        list_images = self.engine.list_images

        def listed(references):
            found = list_images(references)
            self.engine.remove_image('a:1')
            return found

        self.engine.list_images = listed
        self.assertEqual(frozenset(), layers.present(self.engine))

    def test_containerd_store(self):
        self.engine.details['DriverStatus'] = [
            ['driver-type', 'io.containerd.snapshotter.v1']]
        self.assertEqual(frozenset(), layers.present(self.engine))


class LayerTestCase(base.BaseTestCase):

    def feed(self, layer, data, step=700):
        view = memoryview(data)
        return sum(size for at in range(0, len(data), step)
                   for size in layer.feed(view[at:at + step]))

    def test_plain_and_packed(self):
        for data, inflater in (
                (BASE, None),
                (gzip.compress(BASE), compression.Inflater('gzip'))):
            layer = layers.Layer('name', inflater, sent=True)
            self.assertEqual(len(BASE), self.feed(layer, data))
            layer.finish()
            self.assertEqual((len(BASE), BASE_ID), (layer.size, layer.diff_id))

    def test_truncated(self):
        layer = layers.Layer('name', None, sent=True)
        self.feed(layer, BASE[:514])
        self.assertRaises(tar.Refused, layer.finish)
        packed = gzip.compress(BASE)
        layer = layers.Layer('name', compression.Inflater('gzip'), sent=True)
        self.feed(layer, packed[:-1])
        self.assertRaises(tar.Refused, layer.finish)

    def test_bytes_are_counted_before_the_next_piece_unpacks(self):
        bomb = gzip.compress(bytes(64 << 20))
        layer = layers.Layer('name', compression.Inflater('gzip'), sent=True)
        steps = layer.feed(memoryview(bomb))
        first = next(steps)
        self.assertLessEqual(first, compression.CHUNK)
        self.assertEqual(first, layer.size)
