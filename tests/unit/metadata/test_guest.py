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

import io
import tarfile

from nova import exception
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids
from oslo_utils import secretutils

from nova_docker.engine import errors
from nova_docker.metadata import guest
from tests.fixtures import archives
from tests.fixtures import engine

PASSWD = b'root:x:0:0::/root:/bin/sh\nwww:x:33:34::/srv/www:/bin/sh\n'
SHADOW = b'root:*:19000:0:99999:7:::\nwww:!:19000:0:99999:7:::\n'
KEY = 'ssh-ed25519 AAAA me'


class GuestTest(test.NoDBTestCase):
    """On a container of the fake engine, whose image is told."""

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.instance = objects.Instance(uuid=uuids.instance, key_data=None)
        self.properties = {}
        self.image_meta = objects.ImageMeta(
            id=uuids.image, properties=objects.ImageMetaProps())

    def image(self, *members):
        layer = archives.tar(members)
        self.engine.load_image([archives.docker25([layer])])
        self.container = self.engine.create_container(
            'aa', {'Image': 'busybox:1'})
        self.engine.calls.clear()

    def ordinary_image(self, *more):
        shadow = tarfile.TarInfo('etc/shadow')
        shadow.mode, shadow.gid = 0o640, 42
        self.image(('etc/passwd', PASSWD), (shadow, SHADOW),
                   archives.directory('root'), *more)

    def prepare(self, files=(), password=None, **remapped):
        guest.prepare(self.engine, self.container, self.instance,
                      self.image_meta, self.properties, files, password,
                      **remapped)
        return [name for name, _ in self.engine.calls]

    def get(self, path):
        return self.engine.get_file(self.container, path, 1 << 20)

    def assert_refused(self, error, *words, **changes):
        raised = self.assertRaises(error, self.prepare, **changes)
        for word in words:
            self.assertIn(word, raised.format_message())
        self.assertNotIn('put_archive',
                         [name for name, _ in self.engine.calls])


class CostTest(GuestTest):

    def test_nothing_asked_for(self):
        self.ordinary_image()
        self.assertEqual([], self.prepare())

    def test_no_place_for_anything(self):
        self.image(('hello', b''))
        self.instance.key_data = KEY
        self.assertEqual(['get_file', 'get_file'],
                         self.prepare(password='x'))

    def test_all_in_one_request(self):
        self.ordinary_image()
        self.instance.key_data = KEY
        calls = self.prepare([('/a', b''), ('/b', b'')], 'x')
        self.assertEqual(1, calls.count('put_archive'))


class FilesTest(GuestTest):

    def test_files(self):
        self.image(archives.link('link', '/elsewhere'))
        self.prepare([('/srv/\u00e9 a/' + 'x' * 255, b'\0text'),
                      ('/link', b'2'), ('no/slash', b'3')])
        file = self.get('/srv/\u00e9 a/' + 'x' * 255)
        self.assertEqual((b'\0text', 0, 0, 0o644),
                         (file.data, file.uid, file.gid, file.mode))
        self.assertEqual(b'2', self.get('/link').data)
        self.assertRaises(errors.NotFound, self.get, '/elsewhere')
        self.assertEqual(b'3', self.get('/no/slash').data)

    def test_a_file_in_the_way(self):
        self.image(('hello', b''))
        error = self.assertRaises(
            exception.BuildAbortException, self.prepare, [('/hello/a', b'')])
        self.assertIn('not a directory', error.format_message())

    def test_a_directory_in_the_way(self):
        self.image(archives.directory('srv'))
        self.assertRaises(
            exception.BuildAbortException, self.prepare, [('/srv', b'')])

    def test_engine_fails(self):
        self.ordinary_image()
        self.engine.fail_next('put_archive', errors.ServerError('full', 500))
        self.assertRaises(errors.ServerError, self.prepare, password='x')


class KeyTest(GuestTest):

    def setUp(self):
        super().setUp()
        self.instance.key_data = KEY + '\n'

    def assert_key(self, path, uid, gid, data=KEY.encode() + b'\n'):
        file = self.get(path)
        self.assertEqual((data, uid, gid, 0o600),
                         (file.data, file.uid, file.gid, file.mode))

    def directory(self, path):
        _, (_, archive) = self.engine.calls[-1]
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return tar.getmember(path)

    def test_root(self):
        self.ordinary_image()
        self.prepare()
        info = self.directory('root/.ssh')
        self.assertEqual((True, 0o700, 0, 0), (
            info.isdir(), info.mode, info.uid, info.gid))
        self.assert_key('/root/.ssh/authorized_keys', 0, 0)

    def test_named_user(self):
        self.properties['ssh_user'] = 'www'
        self.ordinary_image()
        self.prepare()
        info = self.directory('srv/www/.ssh')
        self.assertEqual((0o700, 33, 34), (info.mode, info.uid, info.gid))
        self.assert_key('/srv/www/.ssh/authorized_keys', 33, 34)
        self.assertRaises(errors.NotFound, self.get, '/root/.ssh')

    def test_what_is_there_is_kept(self):
        self.ordinary_image(('root/.ssh/authorized_keys', b'other'))
        self.prepare()
        self.assertRaises(KeyError, self.directory, 'root/.ssh')
        self.assert_key('/root/.ssh/authorized_keys', 0, 0,
                        b'other\n' + KEY.encode() + b'\n')

    def test_the_directory_that_is_there_is_kept(self):
        self.ordinary_image(archives.directory('root/.ssh'))
        self.prepare()
        self.assertRaises(KeyError, self.directory, 'root/.ssh')

    def test_beside_keys_that_are_injected(self):
        self.ordinary_image()
        self.prepare([('/root/.ssh/authorized_keys', b'mine\n')])
        self.assert_key('/root/.ssh/authorized_keys', 0, 0,
                        b'mine\n' + KEY.encode() + b'\n')

    def test_links_of_the_image(self):
        self.ordinary_image(
            ('real/keys', b''), archives.link('root/.ssh', '../../../real'),
            archives.link('real/authorized_keys', '/real/keys'))
        self.prepare()
        self.assert_key('/real/keys', 0, 0)

    def test_no_such_user(self):
        self.properties['ssh_user'] = 'debian'
        self.ordinary_image()
        self.assert_refused(exception.ImageUnacceptable,
                            'docker_ssh_user=debian', uuids.image)

    def test_no_accounts(self):
        self.properties['ssh_user'] = 'root'
        self.image(('hello', b''))
        self.assert_refused(exception.ImageUnacceptable, 'docker_ssh_user')

    def test_odd_home(self):
        self.properties['ssh_user'] = 'a'
        self.image(('etc/passwd', b'a:x:1:1::/srv/../etc:\n'))
        self.assert_refused(exception.ImageUnacceptable, 'docker_ssh_user')

    def test_keys_that_are_no_file(self):
        pipe = tarfile.TarInfo('root/.ssh/authorized_keys')
        pipe.type = tarfile.FIFOTYPE
        self.ordinary_image((pipe, b''))
        self.assert_refused(exception.ImageUnacceptable, 'authorized_keys')

    def test_huge_passwd(self):
        self.image(('etc/passwd', PASSWD + b'#' * (1 << 20)))
        self.assert_refused(exception.ImageUnacceptable, '/etc/passwd')

    def test_loop(self):
        self.image(archives.link('etc/passwd', 'passwd'))
        self.assert_refused(exception.ImageUnacceptable, '/etc/passwd',
                            'too many links')

    def test_home_is_a_file(self):
        self.image(('etc/passwd', PASSWD), ('root', b''))
        self.assert_refused(exception.ImageUnacceptable, '/root/.ssh')

    def test_certificate(self):
        self.instance.key_data = '-----BEGIN CERTIFICATE-----'
        self.ordinary_image()
        self.assertEqual([], self.prepare())


class PasswordTest(GuestTest):

    def assert_password(self, user, password):
        file = self.get('/etc/shadow')
        self.assertEqual((42, 0o640), (file.gid, file.mode))
        found = dict(line.split(b':')[:2] for line in
                     file.data.splitlines())[user].decode()
        self.assertEqual(
            found, secretutils.crypt_password(password, found))

    def test_root(self):
        self.ordinary_image()
        self.prepare(password='secret')
        self.assert_password(b'root', 'secret')
        self.assertIn(b'\nwww:!:19000:', self.get('/etc/shadow').data)

    def test_of_an_engine_that_remaps_users(self):
        """It names the owners that they are on the host."""
        shadow = tarfile.TarInfo('etc/shadow')
        shadow.mode, shadow.uid, shadow.gid = 0o640, 100000, 200042
        self.image((shadow, SHADOW))
        self.prepare(password='secret', first_ids=(100000, 200000))
        self.assert_password(b'root', 'secret')
        self.assertEqual(0, self.get('/etc/shadow').uid)

    def test_other_administrator(self):
        self.image_meta.properties.os_admin_user = 'www'
        self.ordinary_image()
        self.prepare(password='secret')
        self.assert_password(b'www', 'secret')

    def test_administrator_who_is_made_later(self):
        self.image_meta.properties.os_admin_user = 'debian'
        self.ordinary_image()
        self.prepare(password='secret')
        self.assertEqual(SHADOW, self.get('/etc/shadow').data)

    def test_in_a_file_that_is_injected(self):
        self.ordinary_image()
        self.prepare([('/etc/shadow', b'root::::::::\n')], 'secret')
        self.assertIn(b'root:$6$', self.get('/etc/shadow').data)

    def test_device_for_a_file(self):
        device = tarfile.TarInfo('etc/shadow')
        device.type = tarfile.CHRTYPE
        self.image((device, b''))
        self.assert_refused(exception.ImageUnacceptable, '/etc/shadow',
                            password='x')

    def test_unusable(self):
        self.ordinary_image()
        self.assert_refused(exception.BuildAbortException, 'password',
                            password='a\0b')
