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

"""The image of a server goes along, from each image store to each.

It was unshelved: its image is not that which Nova names, and Glance has none.
"""

import os
import uuid

import fixtures
from nova.compute import task_states
from nova import exception
from nova.image import glance

from nova_docker.spec import names
from nova_docker.volume import rootfs
from tests.fixtures import archives
from tests.fixtures import dockerd
from tests.fixtures import image_store
from tests.integration import killed
from tests.integration.lifecycle import base

#: What there is of the image: a layer upon another one, which lacks a file.
OF_THE_IMAGE = 'grep -q shelved /shelved && ! test -e /etc/shadow'


class Glance(killed.Glance):
    """:cvar gone: whether its one image was deleted"""

    gone = False

    def get(self, context, image_id):
        if self.gone:
            raise exception.ImageNotFound(image_id=image_id)
        return super().get(context, image_id)

    def download(self, context, image_id, *, data, trusted_certs):
        data.write(archives.docker25([
            dockerd.busybox_layer(),
            archives.layer(('shelved', b'shelved'), ('etc/.wh.shadow', b''))]))


class CarriedTest(base.MovingTestCase):
    """From the classic image store to that of containerd, and back."""

    def setUp(self):
        super().setUp()
        self.assertTrue(self.succeeds(OF_THE_IMAGE))
        self.useFixture(fixtures.MockPatchObject(Glance, 'gone', True))
        self.of_glance, self.carried = names.base_references(self.image_of())
        self.instance.image_ref = str(uuid.uuid4())

    def _patches(self):
        super()._patches()
        self.useFixture(fixtures.MockPatchObject(glance, 'API', Glance))

    def engine(self, host):
        if host == self.source:
            return super().engine(host)
        made = self.useFixture(image_store.ContainerdStore())
        # As engines from 27 on tell by themselves.
        folder = os.path.dirname(made.url.removeprefix('unix://'))
        self.useFixture(fixtures.MockPatchObject(
            rootfs, '_CONTAINERD',
            f'{folder}/exec/containerd/containerd.sock'))
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{image_store.engine.path()}:{os.environ["PATH"]}'))
        return made

    def image_of(self):
        return self.by_hand.inspect_container(self.name)['Config']['Image']

    def assert_whole_at(self, host):
        super().assert_whole_at(host)
        self.assertTrue(self.succeeds(OF_THE_IMAGE))

    def test_there_and_back(self):
        self.finished()
        self.assert_whole_at(self.target)
        self.assertEqual(self.carried, self.image_of())
        self.at(self.source)
        self.compute(self.confirm)
        self.assert_nothing_at(self.source)
        # As the image cache does once it is old.
        self.by_hand.remove_image(self.of_glance)
        self.swap()
        self.finished()
        self.assert_whole_at(self.target)
        self.assertEqual(self.carried, self.image_of())
        self.is_at(self.target, self.large, task_states.RESIZE_REVERTING)
        self.compute(self.destroy)
        self.is_at(self.source, self.small, task_states.RESIZE_REVERTING)
        self.compute(self.bring_back)
        self.assert_whole_at(self.source)
