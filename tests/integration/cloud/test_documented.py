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

"""The documented commands, typed as they stand there."""

import os
import pathlib
import subprocess
import unittest
import uuid

import docker
import fixtures
import openstack

from evalcloud import settings
from tests.fixtures import dockerd
from tests.fixtures import documented
from tests.integration.cloud import base


class CommandsTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self._settings = settings.load(base.state_dir())
        self._folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self._where = self._folder
        self._admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self._admin.close)
        self._pip()
        self.addCleanup(self._remove_new, self._owned())

    def _pip(self):
        """A pip that installs into an environment with Nova."""
        venv = self._folder / 'venv'
        subprocess.run([self._settings.venv / 'bin' / 'python', '-m', 'venv',
                        venv], check=True)
        [site] = venv.glob('lib/python3*/site-packages')
        [nova] = self._settings.venv.glob('lib/python3*/site-packages')
        (site / 'nova.pth').write_text(f'{nova}\n')
        self._programs = self._folder / 'bin'
        self._programs.mkdir()
        (self._programs / 'pip').symlink_to(venv / 'bin' / 'pip')
        self._python = venv / 'bin' / 'python'

    def _owned(self):
        """Ids of the servers, floating IPs and images of the user."""
        return {each.id for each in (
            *self.compute.servers(), *self.network.ips(),
            *self.cloud.image.images(owner=self.cloud.current_project_id))}

    def _remove_new(self, before):
        for address in self.network.ips():
            if address.id not in before:
                self.network.delete_ip(address)
        self.delete(*(each for each in self.compute.servers()
                      if each.id not in before))
        for image in self.cloud.image.images(
                owner=self.cloud.current_project_id):
            if image.id not in before:
                self.cloud.image.delete_image(image)

    def _type(self, file):
        """Type all commands of a file that tests can."""
        found = list(documented.blocks((documented.ROOT / file).read_text()))
        self.assertTrue(found)
        for block in found:
            self._type_block([each for each in block
                              if each not in documented.NOT_RUN])

    def _type_block(self, commands):
        """Type commands where those before have ended, in one shell."""
        text = '\n'.join(commands).replace(
            documented.REPOSITORY, str(documented.ROOT))
        # Of this machine it is not to be changed.
        text = text.replace(' /etc/', f' {self._folder}/etc/')
        if ' docker image create busybox ' in text:
            self._busybox_of_engine()
        env = {**{key: value for key, value in os.environ.items()
                  if key != 'PYTHONPATH'},
               'NOVA_DOCKER_STATE': str(base.state_dir()),
               'NOVA_DOCKER_CACHE': str(self._settings.venv.parent),
               'PATH': f'{self._programs}:{os.environ["PATH"]}'}
        where = self._folder / 'where'
        done = subprocess.run(
            ['bash', '-exc', f'{text}\npwd > {where}'], env=env, text=True,
            cwd=self._where, input='y\n', stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600)
        self.assertEqual(0, done.returncode, done.stdout)
        self._where = pathlib.Path(where.read_text().strip())

    def _busybox_of_engine(self):
        """The engine has a "busybox", and the cloud no other one yet."""
        [image] = self._admin.image.images(name='busybox')
        self._admin.image.update_image(image, name=uuid.uuid4().hex)
        self.addCleanup(self._admin.image.update_image, image,
                        name='busybox')
        engine = docker.from_env().api
        self.addCleanup(engine.close)
        engine.import_image_from_data(dockerd.busybox_layer(),
                                      repository='busybox', tag='latest')
        self.addCleanup(engine.remove_image, 'busybox:latest')

    def _assert_active(self, *names):
        for name in names:
            server = self.compute.find_server(name, ignore_missing=False)
            self.assertEqual('ACTIVE', self.compute.get_server(server).status)

    def _assert_installed(self):
        """The environment of pip has the driver, beside Nova."""
        text = subprocess.check_output(
            [self._python, '-I', '-c', 'import nova.virt.driver, nova_docker; '
             'print(nova_docker.__file__)'], text=True, cwd='/')
        self.assertTrue(text.startswith(str(self._folder)), text)

    def test_readme(self):
        self._type('README.rst')
        self._assert_active('demo', 't1')
        self._assert_installed()

    def test_installation(self):
        self._type('doc/source/install/index.rst')
        self._assert_active('first')
        self._assert_installed()

    @unittest.skipUnless(base.LONG, 'builds an image')
    def test_devstack(self):
        program = documented.ROOT / 'tools' / 'cloud'
        subprocess.run([program, '--state', base.state_dir(), 'image',
                        'dropbear'], check=True)
        self._type('doc/source/install/devstack.rst')
        self._assert_active('first')
