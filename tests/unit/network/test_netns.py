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


import dataclasses
import os
import subprocess

import fixtures
from oslotest import base

from nova_docker.network import netns
from nova_docker.privsep import netns as root
from nova_docker.spec import bandwidth
from nova_docker.spec import ports
from nova_docker.spec import routing
from tests.fixtures import starts

PORT = ports.Port('p', 'eth0', 'fa:16:3e:00:00:01', 1442, 'tapp', 'ndp')

FUNCTION = dataclasses.replace(PORT, id='q', host_device='',
                               parked_device='ens1v3',
                               pci_address='0000:01:10.3')


class NetnsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'netns')
        self.root = {name: self.useFixture(fixtures.MockPatchObject(
            root, name, autospec=True)).mock for name in (
                'configure', 'route', 'forget', 'hold', 'release',
                'take_back', 'give_back', 'set_down')}
        self.root['hold'].return_value = 4711

    def _hold(self):
        """Hold the namespace of a process; returns it."""
        container = subprocess.Popen(['sleep', '100'])
        self.addCleanup(container.wait)
        self.addCleanup(container.kill)
        netns.hold(self.path, container.pid)
        # What the mocked function of root would have done.
        with open(self.path, 'w'):
            pass
        return container

    def test_configure(self):
        netns.configure(12, [PORT])
        self.root['configure'].assert_called_once_with(
            12, [PORT.to_dict()], [])

    def test_configure_again(self):
        other = dataclasses.replace(PORT, addresses=(
            ports.Address('10.0.0.5', 24, 4),))
        netns.configure(12, [PORT], [other])
        self.root['configure'].assert_called_once_with(
            12, [PORT.to_dict()], [other.to_dict()])

    def test_route(self):
        log = self.useFixture(fixtures.FakeLogger())
        one, two = (dataclasses.replace(PORT, name=f'eth{number}', addresses=(
            ports.Address(f'10.0.0.{number}', 24, 4),))
            for number in (0, 1))
        netns.route(12, [one])
        netns.route(12, [], [one])
        self.root['route'].assert_not_called()
        netns.route(12, [one, two])
        self.root['route'].assert_called_once_with(12, [
            table.to_dict() for table in routing.tables([one, two])])
        netns.route(12, [two], [one, two])
        self.root['route'].assert_called_with(12, [])
        self.assertEqual('', log.output)
        self.root['route'].return_value = False
        netns.route(12, [one, two])
        self.assertIn('no policy routing', log.output)

    def test_forget(self):
        netns.forget(12, PORT)
        self.root['forget'].assert_not_called()
        limited = dataclasses.replace(PORT, limits=bandwidth.of_flavor(
            {'quota:vif_inbound_average': '9'}))
        netns.forget(12, limited)
        self.root['forget'].assert_called_once_with(12, limited.to_dict())

    def test_hold_knows_its_container(self):
        container = self._hold()
        self.root['hold'].assert_called_once_with(self.path, container.pid)
        self.assertTrue(netns.in_use(self.path))
        self.assertEqual(container.pid, netns.owner(self.path))
        self.assertFalse(netns.ended(self.path))
        container.kill()
        starts.wait_until(lambda: not netns.in_use(self.path))
        self.assertIsNone(netns.owner(self.path))
        self.assertTrue(netns.ended(self.path))

    def test_set_down_spares_the_living(self):
        container = self._hold()
        self.assertFalse(netns.set_down(self.path, [PORT]))
        self.root['set_down'].assert_not_called()
        container.kill()
        starts.wait_until(lambda: not netns.in_use(self.path))
        self.root['set_down'].return_value = True
        self.assertTrue(netns.set_down(self.path, [PORT]))
        self.root['set_down'].assert_called_once_with(
            self.path, 4711, [PORT.to_dict()])

    def test_set_down_of_nothing(self):
        self.assertFalse(netns.set_down(self.path, [PORT]))

    def test_take_back_spares_the_living(self):
        container = self._hold()
        self.assertRaises(BlockingIOError, netns.take_back, self.path,
                          [PORT])
        container.kill()
        starts.wait_until(lambda: not netns.in_use(self.path))
        for answer in (True, False):
            self.root['take_back'].return_value = answer
            self.assertIs(answer, netns.take_back(self.path, [PORT]))
        self.root['take_back'].assert_called_with(
            self.path, [PORT.to_dict()])
        self.root['release'].assert_called_with(self.path)

    def test_take_back_before_the_first_start(self):
        self.assertFalse(netns.take_back(self.path, [PORT]))
        # Not asked: each call of root's daemon takes time of a spawn.
        self.root['take_back'].assert_not_called()

    def test_release(self):
        netns.release(self.path, [PORT])
        self.root['release'].assert_not_called()
        self._hold()
        netns.release(self.path, [PORT])
        self.root['release'].assert_called_once_with(self.path)
        self.assertFalse(os.path.exists(f'{self.path}.json'))

    def test_held(self):
        self.assertFalse(netns.held(self.path))
        self._hold()
        self.assertFalse(netns.held(self.path))

    def test_release_gives_virtual_functions_back(self):
        self._hold()
        self.root['give_back'].side_effect = [['0000:01:10.3'], []]
        netns.release(self.path, [PORT, FUNCTION])
        self.assertEqual(2, self.root['give_back'].call_count)
        self.root['give_back'].assert_called_with(
            self.path, [FUNCTION.to_dict()])
        self.root['release'].assert_called_once_with(self.path)

    def test_virtual_function_that_does_not_come_back(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.useFixture(fixtures.MockPatchObject(netns, '_PATIENCE', 0))
        self.root['give_back'].return_value = ['0000:01:10.3']
        netns.give_back(self.path, [FUNCTION])
        self.assertIn('0000:01:10.3', log.output)

    def test_pairs_need_not_be_given_back(self):
        netns.give_back(self.path, [PORT])
        self.root['give_back'].assert_not_called()
