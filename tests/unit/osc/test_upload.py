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

import logging

import fixtures
from openstack import exceptions
from oslotest import base

from nova_docker.image import tar
from nova_docker import osc
from nova_docker.osc import checked
from nova_docker.osc import upload
from tests.fixtures import glance

ATTRIBUTES = {'name': 'nginx', 'container_format': 'docker',
              'disk_format': 'raw', 'img_hv_type': 'docker'}
LEARNT = {'hw_architecture': 'x86_64', 'org.opencontainers.image.title': 'x'}
CHUNK = bytes(1 << 18)


def learn(data):
    while data.read(1 << 18):
        pass
    return upload.Facts(size=(1 << 30) + 1, properties=LEARNT)


class UploadTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.glance = self.useFixture(glance.Glance())
        self.client = self.glance.connect().image

    def create(self, chunks=(CHUNK,) * 4, check=learn, **attributes):
        return upload.create(self.client, ATTRIBUTES | attributes,
                             checked.Checked(chunks, check))

    def fails(self, error, **options):
        found = self.assertRaises(error, self.create, **options)
        self.assertEqual({}, self.glance.images)
        self.assertIn(('POST', '/v2/images'), self.glance.requests)
        return found

    def test_create(self):
        image = self.create()
        self.assertEqual([image.id], list(self.glance.images))
        self.assertEqual(CHUNK * 4, self.glance.data[image.id])
        self.assertEqual('active', image.status)
        record = self.glance.images[image.id]
        self.assertEqual(ATTRIBUTES | LEARNT | {
            'min_disk': 2, 'protected': False}, {
                key: record[key] for key in (
                    *ATTRIBUTES, *LEARNT, 'min_disk', 'protected')})

    def test_what_the_user_says_wins(self):
        image = self.create(hw_architecture='s390x', min_disk=7,
                            tags=['a'], os_command_line='sleep 1')
        record = self.glance.images[image.id]
        self.assertEqual('s390x', record['hw_architecture'])
        self.assertEqual(7, record['min_disk'])
        self.assertEqual(['a'], record['tags'])
        self.assertEqual('sleep 1', record['os_command_line'])

    def test_protected_once_it_is_whole(self):
        image = self.create(is_protected=True)
        self.assertTrue(self.glance.images[image.id]['protected'])
        del self.glance.images[image.id]
        self.glance.failures['PATCH'] = 409
        self.fails(exceptions.ConflictException, is_protected=True)

    def test_refused_by_the_check(self):
        def refuse(data):
            learn(data)
            raise tar.Refused('truncated')
        self.assertEqual('truncated',
                         str(self.fails(tar.Refused, check=refuse)))
        self.assertEqual({}, self.glance.data)

    def test_source_fails(self):
        def chunks():
            yield CHUNK
            raise BrokenPipeError('source')
        self.assertEqual('source', str(self.fails(BrokenPipeError,
                                                  chunks=chunks())))

    def test_glance_refuses_the_record(self):
        self.glance.failures['POST'] = 403
        self.fails(exceptions.ForbiddenException)

    def test_glance_refuses_the_data(self):
        self.glance.failures['PUT'] = 413
        self.fails(exceptions.HttpException)

    def test_glance_refuses_the_update(self):
        self.glance.failures['PATCH'] = 400
        self.fails(exceptions.BadRequestException)

    def test_data_is_sent_once(self):
        """A second attempt would send what is left, nothing, and succeed."""
        self.client.status_code_retries = 2
        self.client.status_code_retry_delay = 0.01
        self.glance.failures['PUT'] = 503
        self.fails(osc.SourceError)

    def test_interrupted(self):
        def chunks():
            yield CHUNK
            raise KeyboardInterrupt
        self.fails(KeyboardInterrupt, chunks=chunks())

    def test_interrupted_while_it_is_completed(self):
        def interrupt(*args, **kwargs):
            raise KeyboardInterrupt
        self.useFixture(fixtures.MonkeyPatch(
            'nova_docker.osc.upload._completed', interrupt))
        self.fails(KeyboardInterrupt)

    def test_left_behind(self):
        """The error is the first one; what is left is said."""
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        self.glance.failures |= {'PATCH': 409, 'DELETE': 500}
        self.assertRaises(exceptions.ConflictException, self.create)
        image_id, = self.glance.images
        self.assertIn(f'Image {image_id} may be left', log.output)
