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

"""What a server is set up with, as its command sees it."""

import base64
import json
import re
import tarfile
import time

from nova.tests.functional.api import client as api_client
from oslo_utils import secretutils

from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import dockerd
from tests.functional import base

KEY = ('ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDNQ1ZdYKiOPZzbMU4VVkZvmLZBbMyLrh'
       'vLLFQxCQ+YAmpUSyeXYzPbHhfPZ5FEWvQuAqhXPa0gbKgBFYyJbVyXIFa1bjJKTbnBAKVG'
       '4pYSlGbNBqu7Ad7M7UnBQ2ZFYG6sqhkm1rmfbKHqkBtpAmGRCqwQ3/aCFgFhjfxFtnNbYw'
       '== me')
SHADOW = b'root:*:19000:0:99999:7:::\nwww:!:19000:0:99999:7:::\n'
DRIVE = '/var/lib/cloud/seed/config_drive'


def show(commands):
    """A command that shows what commands print, and goes on."""
    shown = ''.join(f'echo; echo "[{number}]"; {command}; '
                    for number, command in enumerate(commands))
    return json.dumps([
        'sh', '-c', shown + 'echo ready; trap "exit 0" TERM; '
        'while :; do sleep 1 & wait $!; done'])


class GuestTestCase(base.FunctionalTestCase):

    microversion = '2.56'

    def setUp(self):
        super().setUp()
        self.api.microversion = self.microversion
        self.api.post_keypair({'keypair': {
            'name': 'mine', 'type': 'ssh', 'public_key': KEY}})

    def image(self, *members, commands=(), checksum='bb', **properties):
        """Make servers of busybox with these members and properties.

        :param commands: what their console shows the output of
        """
        self.commands = commands
        layers = [dockerd.busybox_layer(), archives.tar(members)]
        self.image_id = self.add_image(
            archives.docker25(layers, archives.config(layers)),
            checksum=checksum,
            properties={'os_command_line': show(commands)} | properties)

    def ordinary_image(self, *commands, **properties):
        shadow = tarfile.TarInfo('etc/shadow')
        shadow.mode, shadow.gid = 0o640, 42
        self.image(
            ('etc/passwd', b'root:x:0:0::/root:/bin/sh\n'
                           b'www:x:33:34::/srv/www:/bin/sh\n'),
            (shadow, SHADOW), archives.directory('root'),
            commands=commands, **properties)

    def shown(self, server):
        """What each command has printed."""
        _, *parts = re.split(r'^\[[0-9]+\]\n', self.console(server).split(
            'ready\n')[0], flags=re.M)
        return dict(zip(self.commands, map(str.strip, parts)))

    @staticmethod
    def personality(*paths):
        return [{'path': path, 'contents': base64.b64encode(
            b'hello\n').decode()} for path in paths]


class GuestTest(GuestTestCase):

    def test_all_of_it(self):
        path = '/srv/\u00e9/' + 'x' * 200
        user_data = '#!/bin/sh\n' + '#' * 49000
        listing = 'stat -c "%a %u %g" /root/.ssh /root/.ssh/authorized_keys'
        self.ordinary_image(
            'env', f'cat {path}', 'cat /etc/shadow', listing,
            'cat /root/.ssh/authorized_keys', f'stat -c "%a %u" {DRIVE}',
            f'cat {DRIVE}/openstack/latest/meta_data.json',
            f'wc -c < {DRIVE}/openstack/latest/user_data',
            f'touch {DRIVE}/x 2>&1', 'cat /etc/motd')
        server = self.boot(
            networks=[{'port': self.neutron.port_1['id'], 'tag': 'dmz'}],
            personality=self.personality(path, 'etc/motd'),
            key_name='mine', adminPass='secret \u00e9', config_drive=True,
            user_data=base64.b64encode(user_data.encode()).decode(),
            metadata={'docker_env_MODE': 'a b', 'owner': 'me'})
        seen = self.shown(server)
        self.assertIn('\nMODE=a b\n', f'\n{seen["env"]}\n')
        self.assertEqual('hello', seen[f'cat {path}'])
        self.assertEqual('hello', seen['cat /etc/motd'])
        self.assert_password('secret \u00e9', seen['cat /etc/shadow'])
        self.assertEqual(['700 0 0', '600 0 0'], seen[listing].splitlines())
        self.assertEqual(KEY, seen['cat /root/.ssh/authorized_keys'])
        self.assertEqual('700 0', seen[f'stat -c "%a %u" {DRIVE}'])
        metadata = json.loads(
            seen[f'cat {DRIVE}/openstack/latest/meta_data.json'])
        self.assertEqual(server['id'], metadata['uuid'])
        self.assertEqual('secret \u00e9', metadata['admin_pass'])
        self.assertEqual({'mine': KEY}, metadata['public_keys'])
        self.assertEqual([path, 'etc/motd'],
                         [file['path'] for file in metadata['files']])
        device, = metadata['devices']
        self.assertEqual(('fa:16:3e:4c:2c:30', ['dmz']),
                         (device['mac'], device['tags']))
        self.assertEqual(str(len(user_data)), seen[
            f'wc -c < {DRIVE}/openstack/latest/user_data'])
        self.assertIn('Read-only', seen[f'touch {DRIVE}/x 2>&1'])
        self.assertEqual(
            'True', self.api.get_server(server['id'])['config_drive'])
        self.delete(server)

    def assert_password(self, password, shadow):
        root, www = shadow.splitlines()
        found = root.split(':')[1]
        self.assertEqual(
            found, secretutils.crypt_password(password, found))
        self.assertEqual(SHADOW.splitlines()[1].decode(), www)

    def test_config_drive_over_restarts(self):
        self.ordinary_image(f'ls {DRIVE}')
        server = self.boot(config_drive=True)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        for _ in range(600):
            output = self.console(server)
            if output.count('openstack') == 3:
                break
        self.assertEqual(3, output.count('openstack'), output)
        self.delete(server)

    @base.one_nova
    def test_named_user(self):
        listing = 'stat -c "%a %u %g" /srv/www/.ssh/authorized_keys'
        self.ordinary_image(listing, docker_ssh_user='www')
        server = self.boot(key_name='mine')
        self.assertEqual('600 33 34', self.shown(server)[listing])
        self.delete(server)

    @base.one_nova
    def test_tmpfs_and_healthcheck(self):
        self.ordinary_image(
            'grep " /run " /proc/mounts', f'ls {DRIVE}',
            docker_tmpfs='/run:size=1m,mode=700,/var/tmp',
            docker_healthcheck='test -e /run', docker_healthcheck_interval='1')
        server = self.boot(config_drive=True)
        seen = self.shown(server)
        self.assertIn('openstack', seen[f'ls {DRIVE}'])
        mount = seen['grep " /run " /proc/mounts']
        for option in ('tmpfs', 'size=1024k', 'mode=700', 'noexec', 'nosuid'):
            self.assertIn(option, mount)
        for _ in range(600):
            health = self.container(server)['State']['Health']['Status']
            if health == 'healthy':
                break
            time.sleep(0.2)
        self.assertEqual('healthy', health)
        self.delete(server)


class PasswordTest(GuestTestCase):
    """In a server that runs."""

    def set_password(self, server):
        return self.api.post_server_action(
            server['id'], {'changePassword': {'adminPass': 'new \u00e9'}})

    def shadow(self, server):
        return self.engine.get_file(
            names.container_name(server['id']), '/etc/shadow', 1000)

    def assert_refused(self, server, *words):
        error = self.assertRaises(
            api_client.OpenStackApiException, self.set_password, server)
        self.assertEqual(409, error.response.status_code)
        for word in words:
            self.assertIn(word, str(error))

    def test_changed(self):
        self.ordinary_image()
        server = self.boot(key_name='mine')
        self.console(server)
        before = self.shadow(server)
        self.set_password(server)
        after = self.shadow(server)
        found = after.data.split(b':')[1].decode()
        self.assertEqual(
            found, secretutils.crypt_password('new \u00e9', found))
        self.assertEqual((before.uid, before.gid, before.mode),
                         (after.uid, after.gid, after.mode))
        # For "nova get-password", which has the private key.
        self.assertNotEqual('', self.api.api_get(
            f'/servers/{server["id"]}/os-server-password').body['password'])
        # Of a paused one, Nova does not ask.
        self.act(server, {'pause': {}}, 'PAUSED')
        self.assertRaises(api_client.OpenStackApiException,
                          self.set_password, server)
        self.delete(server)

    @base.one_nova
    def test_no_shadow(self):
        self.ordinary_image('rm /etc/shadow')
        server = self.boot()
        self.console(server)
        self.assert_refused(server, 'no /etc/shadow')
        self.delete(server)

    @base.one_nova
    def test_guest_that_leads_astray(self):
        self.ordinary_image('cp -r /etc /d', 'mv /etc/shadow /etc/gone',
                            'ln -s /proc/1/root/d/shadow /etc/shadow')
        server = self.boot()
        self.console(server)
        self.assert_refused(server, 'not a regular file')
        self.delete(server)


@base.one_nova
class HostileImageTest(GuestTestCase):
    """Whatever the image has in the way, it is about that server only."""

    def setUp(self):
        super().setUp()
        with open('/etc/passwd', 'rb') as file:
            self.host = file.read()

    def boot_with_all(self, state):
        server = self.boot(
            state, key_name='mine', personality=self.personality(
                '/out/motd'), config_drive=True)
        with open('/etc/passwd', 'rb') as file:
            self.assertEqual(self.host, file.read())
        return server

    def test_links_that_lead_out(self):
        self.image(
            archives.directory('d'),
            ('d/passwd', b'root:x:0:0::/h:/bin/sh\n'),
            ('d/shadow', SHADOW), archives.link('out', '/../../../d'),
            archives.link('etc/passwd', '../../../../d/passwd'),
            archives.link('etc/shadow', '/../d/shadow'),
            archives.link('h', '../../../../d'),
            archives.link('d/.ssh', '/../../../../../../d'),
            archives.directory('var'),
            archives.link('var/lib', '../../../../d'),
            commands=('cat /d/authorized_keys', 'cat /d/motd',
                      f'ls {DRIVE}', 'cat /d/shadow'))
        server = self.boot_with_all('ACTIVE')
        seen = self.shown(server)
        self.assertEqual(KEY, seen['cat /d/authorized_keys'])
        self.assertEqual('hello', seen['cat /d/motd'])
        self.assertIn('openstack', seen[f'ls {DRIVE}'])
        self.assertIn('root:$6$', seen['cat /d/shadow'])
        self.delete(server)

    @base.one_nova
    def test_links_in_place_of_what_the_engine_makes(self):
        self.image(
            archives.directory('d'), archives.directory('var'),
            archives.link('etc/hosts', '/../../../../d/passwd'),
            archives.link('etc/resolv.conf', '../../../../etc/passwd'),
            archives.link('etc/hostname', '/proc/1/root/etc/passwd'),
            archives.link('var/run', '../../..'),
            commands=('cat /etc/hosts', 'cat /etc/hostname', 'ls /d',
                      'cat /var/run/out/motd'))
        server = self.boot_with_all('ACTIVE')
        seen = self.shown(server)
        name = self.container(server)['Config']['Hostname']
        self.assertIn(name, seen['cat /etc/hosts'])
        self.assertEqual(name, seen['cat /etc/hostname'])
        self.assertEqual('', seen['ls /d'])
        self.assertEqual('hello', seen['cat /var/run/out/motd'])
        self.delete(server)

    def assert_fault(self, *words):
        server = self.boot_with_all('ERROR')
        for word in words:
            self.assertIn(word, self.fault(server))
        self.delete(server)

    def test_shadow_is_a_pipe(self):
        pipe = tarfile.TarInfo('etc/shadow')
        pipe.type = tarfile.FIFOTYPE
        self.image((pipe, b''))
        self.assert_fault('/etc/shadow of the image is not a file')

    def test_passwd_is_a_directory(self):
        self.image(('etc/passwd/x', b''))
        self.assert_fault('/etc/passwd of the image is not a file')

    def test_passwd_is_huge(self):
        self.image(('etc/passwd', b'x' * (2 << 20)))
        self.assert_fault('/etc/passwd of the image is not a file')

    def test_passwd_is_a_loop(self):
        self.image(archives.link('etc/passwd', 'passwd'))
        self.assert_fault('/etc/passwd of the image can not be read')

    def test_home_is_a_file(self):
        self.image(('etc/passwd', b'root:x:0:0::/home:/bin/sh\n'),
                   ('home', b''))
        self.assert_fault('/home/.ssh/authorized_keys')

    def test_file_in_the_way(self):
        self.image(('out', b''))
        self.assert_fault('can not inject the files', 'not a directory')


class RefusalTest(GuestTestCase):

    def assert_refused(self, *words, **request):
        server = self.boot('ERROR', **request)
        for word in words:
            self.assertIn(word, self.fault(server))
        self.assertEqual(
            [], self.engine.list_images([names.IMAGE_REPOSITORY + '/*']))
        self.delete(server)

    @base.one_nova
    def test_paths(self):
        for path in ('/etc/../motd', '/proc/motd', '/dev/x',
                     '/etc/hosts', '/etc/', '/a\0b'):
            self.assert_refused(repr(path),
                                personality=self.personality(path))

    def test_variable(self):
        self.assert_refused('docker_env_A-B', metadata={'docker_env_A-B': ''})

    def test_properties(self):
        for number, (name, value) in enumerate((
                ('tmpfs', '/etc'), ('tmpfs', '/run:suid'),
                ('healthcheck_interval', '30s'), ('init', 'systemd'))):
            self.image(checksum=f'c{number}', **{f'docker_{name}': value})
            self.assert_refused(f'docker_{name}')
