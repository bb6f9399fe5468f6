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

"""nova-compute is killed before each thing that it does with a volume.

Then it starts again. What it has on real devices and with a real engine:
tests/integration/volume/test_killed.py.
"""

import itertools
import os
import threading
from unittest import mock

import fixtures
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids
from testtools import content

from nova_docker.cdi import store
from nova_docker.lifecycle import records
from nova_docker.spec import volumes as spec
from tests.fixtures import volumes
from tests.unit.lifecycle import test_boot
from tests.unit.lifecycle import test_volumes


class Killed(BaseException):
    """Stands for SIGKILL: nobody handles it, and nothing is done after it."""


class Mixin:
    """Ends the driver's verbs."""

    def setUp(self):
        super().setUp()
        #: Things that are done before the end; None without one.
        self.left = None
        self.me = threading.get_ident()
        self.compute.steps.before = self.step
        for module, name in ((records, 'put'), (records, 'drop'),
                             (store, 'write'), (store, 'set_volumes'),
                             (store, 'remove'), (objects.Instance, 'save')):
            self.patch(module, name)

    def patch(self, module, name):
        function = getattr(module, name)

        def step(*args, **kwargs):
            self.step(name)
            return function(*args, **kwargs)
        self.useFixture(fixtures.MockPatchObject(module, name, step))

    def step(self, name):
        if self.left is None or threading.get_ident() != self.me:
            return
        if not self.left:
            raise Killed(name)
        self.left -= 1

    def kills(self, verb, least, *args):
        """Let a verb be cut off before each of its steps, and restart.

        :param least: steps that it has for sure; with less the test is none
        """
        for number in itertools.count():
            self.left = number
            try:
                verb(*args)
                self.assertGreaterEqual(number, least)
                return
            except Killed as killed:
                self.left = None
                self.addDetail('before', content.text_content(str(killed)))
                self.restart()
                yield
            finally:
                self.left = None

    def restart(self):
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()


class AttachmentsTest(Mixin, test_volumes.VolumesTestCase):
    """A block device, of a server that runs."""

    metadata: dict[str, str] = {}
    data: dict[str, str] = {}
    runs = True

    def setUp(self):
        super().setUp()
        self.volumes.metadata[uuids.volume] = self.metadata
        self.spawned(*([] if self.runs else [(self.power_off,)]))

    def attach(self):
        super().attach(**self.data)

    def detach(self):
        self.driver.detach_volume(
            self.context, volumes.connection(
                uuids.volume, '/dev/loop1', **self.data),
            self.instance, '/dev/vdb')

    def has(self):
        """What there is of a volume on the host and in the container."""
        folder = os.path.join(self.compute.cdi_dir, os.listdir(
            self.compute.cdi_dir)[0])
        with open(folder) as file:
            specification = file.read()
        return {key: value for key, value in {
            'records': self.known(), 'connected': self.volumes.connected,
            'specification': '/dev/loop1' in specification or (
                uuids.volume in specification),
            'read only': self.volumes.read_only,
            'mounted': self.volumes.mounted, 'given': self.volumes.given,
            'inside': self.volumes.inside}.items() if value}

    def assert_attached(self):
        inside = 'inside' if self.metadata else 'given'
        self.assertEqual(
            {'records', 'connected', 'specification'} |
            ({inside} if self.runs else set()) |
            ({'mounted'} if self.metadata else set()) |
            ({'read only'} if self.data else set()), set(self.has()))
        self.assertEqual({uuids.volume: spec.ATTACHED}, self.known())

    def assert_whole_or_not(self):
        if self.has():
            self.assert_attached()

    def test_attach(self):
        for _killed in self.kills(self.attach, 10):
            self.assert_whole_or_not()
            self.attach()
            self.assert_attached()
            self.detach()
            self.assertEqual({}, self.has())
        self.assert_attached()

    def test_detach(self):
        self.attach()
        for _killed in self.kills(self.detach, 6):
            self.assert_whole_or_not()
            self.detach()
            self.assertEqual({}, self.has())
            self.attach()
            self.assert_attached()
        self.assertEqual({}, self.has())

    def test_start_after_it(self):
        """Killed again as it takes out what was cut off before."""
        for verb in (self.attach, self.detach):
            self.attach()
            self.detach()
            if verb == self.detach:
                self.attach()
            self.left = 5
            self.assertRaises(Killed, verb)
            self.left = None
            for _killed in self.kills(self.restart, 3):
                self.assert_whole_or_not()
            self.assert_whole_or_not()
            self.attach()
            self.detach()
            self.assertEqual({}, self.has())

    def test_hard_reboot(self):
        """Nova knows it as attached, and so it stays, where it was."""
        self.attach()
        self.volumes.metadata.clear()
        info = {'block_device_mapping': [{
            'mount_device': '/dev/vdb', 'boot_index': None,
            'connection_info': volumes.connection(
                uuids.volume, '/dev/loop1', **self.data)}]}
        for _killed in self.kills(self.driver_reboot, 18, info):
            self.assertEqual({uuids.volume: spec.ATTACHED}, self.known())
            self.driver_reboot(info)
            self.assertEqual({uuids.volume: spec.ATTACHED}, self.known())
            self.assertEqual(bool(self.metadata),
                             'mounted' in self.has())

    def driver_reboot(self, info):
        # A mount in a container ends with it.
        self.volumes.inside.clear()
        self.driver.reboot(self.context, self.instance, self.network_info,
                           'HARD', info)


class StoppedTest(AttachmentsTest):
    runs = False


class ReadOnlyTest(AttachmentsTest):
    data = {'access_mode': 'ro'}


class MountedTest(AttachmentsTest):
    metadata = {'docker_mount_path': '/data'}


class MountedStoppedTest(MountedTest):
    runs = False


class BootTest(Mixin, test_boot.BootTestCase):
    """A spawn from a volume that is to be made of its image."""

    def test_spawn(self):
        """Nova has the server in error; its user deletes it and tries again.
        """
        for _killed in self.kills(self.spawn, 38):
            self.driver.destroy(self.context, self.instance,
                                self.network_info, self.info)
            self.assert_nothing_of_it()
            with mock.patch.object(self, 'left', None):
                self.spawn()
            self.assertEqual('running', self.state)
            self.assertIn(test_boot.VOLUME, self.roots.documents)
            self.driver.destroy(self.context, self.instance,
                                self.network_info, self.info)
            self.assert_nothing_of_it()
            self.roots.documents.clear()
            self.volumes.contents.clear()
            self.roots.written(test_boot.VOLUME, test_boot.ARCHIVE)
