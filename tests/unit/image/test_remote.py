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

import os
import threading

import fixtures
from nova import context as nova_context
from nova import exception
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids
import urllib3

from nova_docker.image import load
from nova_docker.image import registries
from nova_docker.image import registry
from nova_docker.image import source
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import engine
from tests.fixtures import registry as fake
from tests.fixtures import tls

LAYER = archives.layer(('hello', os.urandom(100000)))
OTHER = archives.layer(('other', b'other'))
SECRET = 'the-secret-password'


class FakeGlance:
    """What Glance says of images; it has no data."""

    def __init__(self):
        self.properties = {}
        self.asked = 0

    def get(self, context, image_id):
        self.asked += 1
        if image_id not in self.properties:
            raise exception.ImageNotFound(image_id=image_id)
        return {'id': image_id, 'checksum': 'aa',
                'properties': self.properties[image_id]}

    def download(self, context, image_id, *, data, trusted_certs):
        data.write(archives.docker25([OTHER]))


class RemoteTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.fake = self.useFixture(fake.Registry(
            self.useFixture(tls.Authority())))
        self.image = self.fake.push('team/app', '1', [LAYER])
        self.tag = f'{self.fake.host}/team/app:1'
        self.digest = f'{self.fake.host}/team/app@{self.image["digest"]}'
        self.glance = FakeGlance()
        self.glance.properties[uuids.image] = {'docker_image_ref': self.tag}
        self.file = self.useFixture(fixtures.TempDir()).join('registries.ini')
        self.write('')
        self.useFixture(fixtures.MockPatchObject(
            registry, '_TIMEOUT', urllib3.Timeout(connect=5, read=0.5)))
        self.addCleanup(self.assert_no_thread)

    def assert_no_thread(self):
        self.assertEqual([], [thread for thread in threading.enumerate()
                              if thread.name.startswith('download-')])

    def write(self, more):
        with open(self.file, 'w') as file:
            file.write(f'[{self.fake.host}]\nca_file = {self.fake.ca_file}\n'
                       + more)
        os.chmod(self.file, 0o600)

    def refer(self, where):
        """Let the image be somewhere else."""
        self.glance.properties[uuids.image] = {'docker_image_ref': where}

    def ensure(self, properties=None, meta=None, allowed=None, **changes):
        """Ensure the image of an instance, with Nova's cut properties."""
        where = self.glance.properties.get(uuids.image, {}).get(
            'docker_image_ref')
        return load.ensure(source.Request(
            self.engine, self.glance,
            nova_context.RequestContext('user', 'project'),
            objects.ImageMeta.from_dict({
                'id': uuids.image, 'size': 0, 'disk_format': 'raw',
                'container_format': 'docker'} | (meta or {})),
            {'image_ref': where[:255]} if properties is None else properties,
            registry_options=registries.Options(
                (self.fake.host,) if allowed is None else allowed,
                self.file), **changes))

    def fails(self, error, text, **kwargs):
        """Assert a failure of ensure() after which nothing is left."""
        before = self.engine.list_images(())
        raised = str(self.assertRaises(error, self.ensure, **kwargs))
        self.assertIn(text, raised)
        self.assertNotIn(SECRET, raised)
        self.assertEqual(before, self.engine.list_images(()))
        self.assert_no_thread()

    def move_tag(self):
        """Push another image under the tag."""
        return self.fake.push('team/app', '1', [OTHER])

    # What works

    def test_tag_and_digest(self):
        for where in (self.tag, self.digest):
            self.refer(where)
            image = self.ensure()
            self.assertTrue(image.in_registry)
            self.assertEqual({'Cmd': ['/hello']}, image.config)
            self.assertEqual(self.image['digest'],
                             names.pulled_digest(image.reference))
            self.assertIn(uuids.image, image.reference)

    def test_password(self):
        self.fake.users = {'nova': SECRET}
        self.write(f'username = nova\npassword = {SECRET}\n')
        self.ensure()

    def test_index(self):
        index = self.fake.index('team/app', '1', {
            'linux/s390x': self.fake.push('team/app', 'z', [OTHER]),
            'linux/amd64': self.image})
        image = self.ensure()
        self.assertEqual(len(LAYER), image.size)
        # Another host may be of the other platform.
        self.assertEqual(index['digest'],
                         names.pulled_digest(image.reference))

    def test_long_references(self):
        # Nova cuts them.
        where = (f'{self.fake.host}/' + 'a/' * 60 + 'a:' + 't' * 128
                 + f'@{self.image["digest"]}')
        self.assertGreater(len(where), 255)
        self.fake.push('a/' * 60 + 'a', '1', [LAYER])
        self.refer(where)
        self.assertEqual(len(LAYER), self.ensure().size)

    def test_data_in_glance_does_not_count(self):
        self.assertEqual(len(LAYER), self.ensure(meta={'size': 12345}).size)

    # Which image it is

    def test_present_image_is_used_without_the_registry(self):
        for where in (self.tag, self.digest):
            self.refer(where)
            first = self.ensure()
            self.move_tag()
            self.fake.seen.clear()
            self.fake.faults['/v2/'] = fake.status(503)
            self.assertEqual(first, self.ensure())
            self.assertEqual([], self.fake.seen)
            self.fake.faults.clear()

    def test_pinned_image_is_used(self):
        first = self.ensure()
        self.engine.remove_image(first.reference)
        self.move_tag()
        again = self.ensure(pinned=first.reference)
        self.assertEqual(first, again)

    def test_pinned_image_needs_no_glance(self):
        first = self.ensure()
        del self.glance.properties[uuids.image]
        for _ in range(2):
            self.glance.asked = 0
            self.assertEqual(first, self.ensure(
                {'image_ref': self.tag}, pinned=first.reference))
            self.assertEqual(0, self.glance.asked)
            self.engine.remove_image(first.reference)

    def test_without_a_pin_glance_is_needed(self):
        self.ensure()
        del self.glance.properties[uuids.image]
        self.assertRaises(exception.ImageNotFound, self.ensure,
                          {'image_ref': self.tag})

    def test_pin_of_another_image_or_place(self):
        first = self.ensure()
        self.engine.remove_image(first.reference)
        moved = self.move_tag()
        other = names.pulled_reference(uuids.other, self.tag,
                                       self.image['digest'])
        self.assertEqual(moved['digest'], names.pulled_digest(
            self.ensure(pinned=other).reference))
        self.fake.push('team/app', '2', [OTHER])
        self.refer(self.tag.replace(':1', ':2'))
        self.assertNotEqual(first.reference, self.ensure(
            pinned=first.reference).reference)

    def test_present_image_of_another_place(self):
        self.ensure()
        self.fake.push('team/app', '2', [OTHER])
        self.refer(self.tag.replace(':1', ':2'))
        self.assertEqual(len(OTHER), self.ensure().size)

    def test_several_present(self):
        # Of instances that came with their pins from other hosts.
        first = self.ensure()
        moved = self.move_tag()
        second = self.ensure(pinned=names.pulled_reference(
            uuids.image, self.tag, moved['digest']))
        self.assertNotEqual(first, second)
        self.assertEqual(second, self.ensure())

    def test_snapshot_of_an_instance_is_in_glance(self):
        # Its properties are those of the image that the instance had.
        first = self.ensure()
        self.glance.properties[uuids.snapshot] = {}
        image = self.ensure(meta={'id': uuids.snapshot, 'size': 5000},
                            pinned=first.reference)
        self.assertFalse(image.in_registry)
        self.assertEqual(len(OTHER), image.size)

    def test_no_reference(self):
        self.assertFalse(self.ensure({}, meta={'size': 5000}).in_registry)
        self.assertEqual([], self.fake.seen)

    # What is refused

    def test_off(self):
        self.fails(exception.ImageUnacceptable, 'takes no images from '
                   'registries', allowed=())
        self.assertEqual([], self.fake.seen)

    def test_not_allowed(self):
        self.fails(exception.ImageUnacceptable,
                   f'no images from {self.fake.host}/team/app',
                   allowed=('a.example',))
        # Neither what is here, for a new instance.
        self.ensure()
        self.fails(exception.ImageUnacceptable, 'no images from',
                   allowed=('a.example',))
        self.assertRaises(exception.ImageUnacceptable, self.ensure,
                          allowed=(), pinned=names.pulled_reference(
                              uuids.image, self.tag, 'sha256:' + '0' * 64))

    def test_malformed(self):
        self.refer('nginx:1')
        self.fails(exception.ImageUnacceptable, 'docker.io/library/nginx')

    def test_formats(self):
        for formats in (('bare', 'raw'), ('docker', 'qcow2')):
            self.fails(exception.ImageUnacceptable, 'container_format docker',
                       meta=dict(zip(('container_format', 'disk_format'),
                                     formats)))

    def test_signatures(self):
        self.fails(exception.ImageUnacceptable, 'signatures',
                   trusted_certs=objects.TrustedCerts(ids=['a']))

    def test_too_large(self):
        self.fails(exception.FlavorDiskSmallerThanImage, str(len(LAYER)),
                   root_bytes=len(LAYER) - 1)

    def test_refusals_of_the_registry(self):
        for path, fault, text in (
                ('manifests', fake.status(404), 'does not have team/app, 1'),
                ('manifests', fake.status(401), 'wants credentials'),
                ('manifests', fake.redirect('https://192.0.2.1/'),
                 'a host that this cloud does not allow'),
                ('manifests', fake.content(b'{}'), 'schema 1'),
                ('manifests', fake.endless, 'more than'),
                ('blobs', fake.status(403), 'denies access'),
                ('blobs', fake.redirect('https://192.0.2.1/'),
                 'a host that this cloud does not allow'),
                ('blobs', fake.endless, 'more than'),
                (archives.digest(LAYER), fake.content(bytes(len(LAYER))),
                 'something else than')):
            self.fake.faults = {path: fault}
            self.fails(exception.ImageUnacceptable, text)
            self.assertNotIn('192.0.2.1', str(self.assertRaises(
                exception.ImageUnacceptable, self.ensure)))

    def test_wrong_password(self):
        self.fake.users = {'nova': 'another'}
        self.write(f'username = nova\npassword = {SECRET}\n')
        self.fails(exception.ImageUnacceptable, 'denies access')

    def test_platform(self):
        self.fake.index('team/app', '1', {'linux/s390x': self.image})
        self.fails(exception.ImageUnacceptable, 'linux/s390x')
        self.fake.push('team/app', '1', [LAYER], archives.config(
            [LAYER], architecture='s390x'))
        self.fails(exception.ImageUnacceptable, 'linux/s390x')

    def test_configuration_that_lies(self):
        self.fake.push('team/app', '1', [OTHER], archives.config([LAYER]))
        self.fails(exception.ImageUnacceptable, 'does not match')

    # What may be better on another host

    def test_trouble(self):
        for path in ('manifests/1', 'manifests/sha256', 'blobs'):
            for fault, text in (
                    (fake.status(500), '500'), (fake.status(429), '429'),
                    (fake.stall(self.fake), 'in time')):
                self.fake.faults = {path: fault}
                self.fails(exception.CouldNotFetchImage, text)
        self.fake.faults = {archives.digest(LAYER): fake.stall(
            self.fake, LAYER)}
        self.fails(exception.CouldNotFetchImage, self.fake.host)

    def test_file_is_wrong(self):
        self.write(f'password = {SECRET}\n')
        log = self.useFixture(fixtures.FakeLogger())
        self.fails(exception.CouldNotFetchImage, 'not set up properly')
        self.assertIn('username', log.output)
        self.assertNotIn(SECRET, log.output)

    def test_nothing_comes_at_all(self):
        # Whatever else it may be that hangs.
        self.useFixture(fixtures.MockPatchObject(source, '_STALL', 0.2))
        self.useFixture(fixtures.MockPatchObject(
            registry, '_TIMEOUT', urllib3.Timeout(connect=5, read=2)))
        for path in ('manifests', 'blobs'):
            self.fake.faults = {path: fake.stall(self.fake)}
            self.fails(exception.CouldNotFetchImage, '')
