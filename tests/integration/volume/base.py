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

"""An engine with a container's files, with each image store."""

import json
import os
import pathlib

import fixtures
from nova import test
from nova.tests import fixtures as nova_fixtures
from oslo_utils import uuidutils

from nova_docker.engine import session
from tests import engine_cases
from tests.fixtures import archives
from tests.fixtures import dockerd
from tests.fixtures import image_store
from tests.fixtures import privsep

KIND = 'rootfs-test.invalid/device'


class ClassicStore(test.NoDBTestCase):

    def setUp(self):
        # Loop devices are looked up there.
        self.useFixture(fixtures.MockPatchObject(
            nova_fixtures, 'SysFsPoisonFixture', fixtures.Fixture))
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path).resolve()
        self.mark = uuidutils.generate_uuid()
        self.image = f'rootfs-test-{self.mark}:1'
        self.engine = session.Session(session.Address(self.engine_url()))
        self.addCleanup(self.engine.close)
        layer = dockerd.busybox_layer()
        self.engine.load_image([archives.docker25(
            [layer], tags=[self.image])])
        self.addCleanup(self.engine.remove_image, self.image)

    def engine_url(self):
        return dockerd.url()

    def run_container(self, command, name, **host_config):
        name = f'rootfs-test-{self.mark}-{name}'
        self.engine.create_container(name, {
            'Image': self.image, 'Cmd': ['sh', '-c', command],
            'HostConfig': {'NetworkMode': 'none', **host_config}})
        self.addCleanup(self.engine.remove_container, name)
        return name, self.output(name)

    def output(self, name):
        self.engine.start_container(name, 60)
        engine_cases.wait_until(
            lambda: self.engine.inspect_container(name)['State'][
                'Status'] == 'exited')
        return self.engine.container_logs(name, 4096).decode().split()

    def device(self, mount):
        """The HostConfig of a container with this CDI mount."""
        path = os.path.join(self.engine.info()['CDISpecDirs'][0],
                            f'rootfs-test-{self.mark}.json')
        with open(f'{path}.tmp', 'w') as file:
            json.dump({
                'cdiVersion': '0.6.0', 'kind': KIND, 'devices': [{
                    'name': self.mark,
                    'containerEdits': {'mounts': [mount]}}]}, file)
        os.rename(f'{path}.tmp', path)
        self.addCleanup(os.unlink, path)
        return {'DeviceRequests': [{'Driver': 'cdi', 'DeviceIDs': [
            f'{KIND}={self.mark}']}]}


class ContainerdStore(ClassicStore):

    def engine_url(self):
        self.url = self.useFixture(image_store.ContainerdStore()).url
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{image_store.engine.path()}:{os.environ["PATH"]}'))
        return self.url

    def setUp(self):
        super().setUp()
        # As engines from 27 on tell by themselves.
        folder = os.path.dirname(self.url.removeprefix('unix://'))
        self.told = self.engine.info() | {'Containerd': {
            'Address': f'{folder}/exec/containerd/containerd.sock'}}
        self.engine.info = lambda: self.told
