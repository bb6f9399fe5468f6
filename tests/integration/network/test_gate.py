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


"""The start gate with a real engine, kernel and hook; no Open vSwitch."""

import contextlib
import os
import threading
import time
import uuid

import docker
import fixtures
from nova import exception
from oslotest import base

from nova_docker.cdi import hook
from nova_docker.cdi import store
from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.engine import transport
from nova_docker.network import gate
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.privsep import link
from nova_docker.spec import names
from tests.fixtures import busybox
from tests.fixtures import dockerd
from tests.fixtures import network
from tests.fixtures import starts

TIMEOUT = 20


class GateCase(base.BaseTestCase):

    def _url(self):
        return dockerd.url()

    def setUp(self):
        super().setUp()
        url = self._url()
        self.engine = session.Session(transport.Address(url))
        self.addCleanup(self.engine.close)
        self.by_hand = docker.APIClient(base_url=url, version='auto')
        self.addCleanup(self.by_hand.close)
        self.cdi_dir = self.engine.info()['CDISpecDirs'][0]
        self.engine.load_image([busybox.archive()])
        self.host = self.useFixture(network.HostPorts())
        self.state_dir = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'docker')
        hook.install(self.state_dir)
        self.ports = [network.make_port()]
        self.unasked = []
        self.left = {}
        self.gate = self._gate()

    def _gate(self):
        made = gate.Gate(self.state_dir, self._on_start,
                         lambda *_: None, self.left.get, TIMEOUT)
        made.start()
        self.addCleanup(made.stop)
        return made

    def _on_start(self, instance_uuid, pid):
        """As the driver does it, without Neutron and Open vSwitch."""
        self.unasked.append(pid)
        self._park(instance_uuid)
        return self.ports

    def _park(self, instance_uuid):
        plan = plans.read(self.state_dir, instance_uuid)
        if not plan or not netns.take_back(
                plans.netns_path(self.state_dir, instance_uuid), plan):
            self.host.make(*self.ports)

    def _create(self, script='ip addr; ip route; ip -6 route; exec sleep 999',
                timeout=TIMEOUT):
        """A container of a new instance; returns the instance's uuid."""
        instance_uuid = str(uuid.uuid4())
        name = names.container_name(instance_uuid)
        plans.ensure(self.state_dir, instance_uuid)
        path = plans.netns_path(self.state_dir, instance_uuid)
        self.addCleanup(netns.release, path)
        store.write(self.cdi_dir, instance_uuid, self.state_dir, timeout)
        self.addCleanup(store.remove, self.cdi_dir, instance_uuid)
        self.engine.create_container(name, {
            'Image': 'busybox:latest', 'Cmd': ['sh', '-c', script],
            'HostConfig': {
                'NetworkMode': 'none', 'DeviceRequests': [{
                    'Driver': 'cdi',
                    'DeviceIDs': [names.cdi_device(instance_uuid)]}]}})
        self.addCleanup(self._removed, name)
        return instance_uuid

    def _removed(self, name):
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_container(name)

    def _start(self, instance_uuid, turn):
        turn.hand(self.ports)
        return self.engine.start_container(
            names.container_name(instance_uuid), timeout=60)

    def _spawn(self, **kwargs):
        instance_uuid = self._create(**kwargs)
        with self.gate.turn(instance_uuid) as turn:
            self._park(instance_uuid)
            self._start(instance_uuid, turn)
            turn.check()
        return instance_uuid

    def test_container_that_was_left(self):
        instance_uuid = self._spawn()
        self._told(instance_uuid, 1)
        name = names.container_name(instance_uuid)
        self.engine.stop_container(name, 0)
        self.left[instance_uuid] = self.engine.inspect_container(name)['Id']
        self.assertRaises(docker.errors.APIError, self.by_hand.start, name)
        self.assertEqual([], self.unasked)
        del self.left[instance_uuid]
        self.by_hand.start(name)
        self._told(instance_uuid, 2)

    def _log(self, instance_uuid):
        return self.engine.container_logs(
            names.container_name(instance_uuid), 100000).decode()

    def _told(self, instance_uuid, number):
        """Wait until a number of starts have shown the address."""
        starts.wait_until(lambda: self._log(instance_uuid).count(
            '10.1.0.5/24') == number)

    def _state(self, instance_uuid):
        container, = self.engine.list_containers(
            [], [names.container_name(instance_uuid)])
        return container['State']

    def _in_thread(self, function, *args):
        """Run something that blocks; its exception, or None, at the end."""
        result = []

        def run():
            try:
                function(*args)
                result.append(None)
            except Exception as error:
                result.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 60)
        return result

    def _hook_waits(self, instance_uuid):
        return starts.wait_until(lambda: [
            each for each in os.listdir(plans.hooks_dir(
                self.state_dir, instance_uuid))
            if each.endswith('.state')])


class GateTest(GateCase):

    def test_network_is_there_at_the_first_instruction(self):
        self.ports.append(network.make_port(1, 2))
        instance_uuid = self._spawn()
        log = starts.wait_until(
            lambda: 'ff00::/8' in self._log(instance_uuid) and self._log(
                instance_uuid))
        for port in self.ports:
            self.assertIn(f': {port.name}@', log)
            self.assertIn(f'link/ether {port.mac}', log)
            for each in port.addresses:
                self.assertIn(f' {each.address}/{each.prefixlen} ', log)
        self.assertIn('mtu 1442', log)
        self.assertNotIn('inet6 fd00:1::5/64 scope global tentative', log)
        self.assertIn('default via 192.0.2.1 dev eth0', log)
        self.assertIn('default via 192.0.2.2 dev eth1  metric 1', log)
        self.assertIn('default via 2001:db8::1 dev eth0', log)
        self.assertIn('169.254.169.254 via 10.1.0.2 dev eth0', log)
        self.assertEqual([], self.unasked)
        self.assertEqual([], os.listdir(
            plans.hooks_dir(self.state_dir, instance_uuid)))

    def test_every_start_and_the_pair_is_kept(self):
        instance_uuid = self._spawn(script='ip addr show eth0; exec sleep 99')
        name = names.container_name(instance_uuid)
        self._told(instance_uuid, 1)
        index = self.host.index(self.ports[0])
        for number in range(2, 5):
            self.by_hand.restart(name, timeout=0)
            self._told(instance_uuid, number)
            self.assertEqual(number - 1, len(self.unasked))
        # After its death it is a verb's turn again.
        self.by_hand.kill(name)
        starts.wait_until(lambda: self._state(instance_uuid) == 'exited')
        with self.gate.turn(instance_uuid) as turn:
            self._park(instance_uuid)
            self._start(instance_uuid, turn)
            turn.check()
        self._told(instance_uuid, 5)
        self.assertEqual(3, len(self.unasked))
        self.assertEqual(index, self.host.index(self.ports[0]))

    def test_dead_container_does_not_answer(self):
        instance_uuid = self._spawn()
        path = plans.netns_path(self.state_dir, instance_uuid)
        self.assertFalse(netns.set_down(path))
        self.engine.kill_container(names.container_name(instance_uuid))
        starts.wait_until(lambda: netns.set_down(path))
        # The kernel tells of a carrier a moment later.
        starts.wait_until(lambda: 'NO-CARRIER' in self._flags())
        self.by_hand.start(names.container_name(instance_uuid))
        starts.wait_until(lambda: 'NO-CARRIER' not in self._flags())

    def _flags(self):
        """Of the host's end of the port's pair."""
        return next(each['flags'] for each in network.links()
                    if each['ifname'] == self.ports[0].host_device)

    def test_failure_is_a_clean_start_error(self):
        instance_uuid = self._create()
        with self.gate.turn(instance_uuid) as turn:
            # Nothing is parked.
            error = self.assertRaises(errors.ApiError, self._start,
                                      instance_uuid, turn)
            self.assertIn('could not be plugged', str(error))
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, turn.check)
            self.assertIn('is not on the host', str(error))
        self.assertNotEqual('running', self._state(instance_uuid))
        self.assertEqual([], os.listdir(
            plans.hooks_dir(self.state_dir, instance_uuid)))
        self.assertFalse(netns.held(
            plans.netns_path(self.state_dir, instance_uuid)))
        self.assertEqual(set(), self.host.left())
        # The same container starts when the fault is gone.
        self.by_hand.start(names.container_name(instance_uuid))
        self.assertEqual('running', self._state(instance_uuid))

    def test_command_that_does_not_exist(self):
        instance_uuid = self._create()
        name = names.container_name(instance_uuid)
        self.engine.remove_container(name)
        self.engine.create_container(name, {
            'Image': 'busybox:latest', 'Cmd': ['/none'],
            'HostConfig': {
                'NetworkMode': 'none', 'DeviceRequests': [{
                    'Driver': 'cdi',
                    'DeviceIDs': [names.cdi_device(instance_uuid)]}]}})
        with self.gate.turn(instance_uuid) as turn:
            self._park(instance_uuid)
            self.assertRaises(errors.ApiError, self._start, instance_uuid,
                              turn)
            self.assertTrue(turn.served)
        path = plans.netns_path(self.state_dir, instance_uuid)
        starts.wait_until(lambda: not netns.in_use(path))
        self.assertTrue(netns.take_back(path, self.ports))
        self.assertEqual(link.PARKED, link.pair_state(
            self.ports[0].host_device, self.ports[0].parked_device))

    def test_hook_past_its_timeout(self):
        instance_uuid = self._create(timeout=2)
        with self.gate.turn(instance_uuid):
            self.assertRaises(
                errors.ApiError, self.engine.start_container,
                names.container_name(instance_uuid), timeout=60)
        # Killed, the hook left its files; the gate sweeps them.
        starts.wait_until(lambda: not os.listdir(
            plans.hooks_dir(self.state_dir, instance_uuid)))
        self.assertEqual([], self.unasked)
        self.by_hand.start(names.container_name(instance_uuid))
        self.assertEqual('running', self._state(instance_uuid))

    def test_start_without_nova_compute_fails(self):
        instance_uuid = self._create(timeout=2)
        self.gate.stop()
        self.assertRaises(
            errors.ApiError, self.engine.start_container,
            names.container_name(instance_uuid), timeout=60)
        self.assertNotEqual('running', self._state(instance_uuid))
        self._gate()
        self.assertEqual([], os.listdir(
            plans.hooks_dir(self.state_dir, instance_uuid)))
        self.assertEqual([], self.unasked)

    def test_new_nova_compute_serves_the_start_that_waits(self):
        instance_uuid = self._spawn()
        name = names.container_name(instance_uuid)
        self.gate.stop()
        result = self._in_thread(self.by_hand.restart, name, 0)
        self._hook_waits(instance_uuid)
        self.assertEqual([], result)
        self._gate()
        starts.wait_until(lambda: result)
        self.assertEqual([None], result)
        self.assertEqual(1, len(self.unasked))
        self.assertIn('eth0', self._log(instance_uuid))

    def test_containers_go_on_without_nova_compute(self):
        instance_uuid = self._spawn()
        self.gate.stop()
        self.assertEqual('running', self._state(instance_uuid))
        self.assertEqual(link.INSIDE, link.pair_state(
            self.ports[0].host_device, self.ports[0].parked_device))

    def test_removal_does_not_block_behind_a_start(self):
        instance_uuid = self._create()
        name = names.container_name(instance_uuid)
        with self.gate.turn(instance_uuid):
            result = self._in_thread(self.by_hand.start, name)
            self._hook_waits(instance_uuid)
            begin = time.monotonic()
            removal = self._in_thread(self._remove, name, instance_uuid)
            starts.wait_until(lambda: result)
        starts.wait_until(lambda: removal)
        self.assertEqual([None], removal)
        self.assertIsInstance(result[0], docker.errors.APIError)
        self.assertEqual([], self.unasked)
        self.assertLess(time.monotonic() - begin, TIMEOUT)

    def _remove(self, name, instance_uuid):
        with self.gate.turn(instance_uuid, refuse=True):
            self.engine.remove_container(name)

    def test_verb_against_start_by_hand(self):
        instance_uuid = self._spawn(script='ip addr show eth0; exec sleep 99')
        name = names.container_name(instance_uuid)
        self._told(instance_uuid, 1)
        for number in range(2, 7):
            self.by_hand.stop(name, timeout=0)
            result = self._in_thread(self.by_hand.start, name)
            with self.gate.turn(instance_uuid) as turn:
                if self._state(instance_uuid) != 'running':
                    self._park(instance_uuid)
                    self._start(instance_uuid, turn)
            starts.wait_until(lambda: result)
            self.assertEqual([None], result)
            self._told(instance_uuid, number)
            self.assertEqual(link.INSIDE, link.pair_state(
                self.ports[0].host_device, self.ports[0].parked_device))

    def test_foreign_containers_do_not_ask(self):
        name = f'foreign-{uuid.uuid4()}'
        self.engine.create_container(name, {
            'Image': 'busybox:latest', 'Cmd': ['sleep', '99'],
            'HostConfig': {'NetworkMode': 'none'}})
        self.addCleanup(self._removed, name)
        self.gate.stop()
        self.assertTrue(self.engine.start_container(name, timeout=60))

    def test_nothing_is_left(self):
        instance_uuid = self._spawn()
        name = names.container_name(instance_uuid)
        with self.gate.turn(instance_uuid, refuse=True):
            self.engine.remove_container(name)
            netns.release(plans.netns_path(self.state_dir, instance_uuid))
            store.remove(self.cdi_dir, instance_uuid)
            plans.remove(self.state_dir, instance_uuid)
        starts.wait_until(lambda: not self.host.left())
        self.assertEqual(set(), plans.instances(self.state_dir))
        self.assertEqual(set(), store.instances(self.cdi_dir,
                                                self.state_dir))
        with open('/proc/self/mounts') as mounts:
            self.assertNotIn(instance_uuid, mounts.read())


class CrashTest(GateCase):
    """The engine dies while a start waits in the gate."""

    def _url(self):
        self.dockerd = self.useFixture(dockerd.Dockerd(live_restore=True))
        return self.dockerd.url

    def test_engine_dies(self):
        instance_uuid = self._create()
        name = names.container_name(instance_uuid)
        with self.gate.turn(instance_uuid) as turn:
            result = self._in_thread(self.by_hand.start, name)
            self._hook_waits(instance_uuid)
            self.dockerd.kill()
            starts.wait_until(lambda: result)
            self.dockerd.start()
            # The orphan is ended by the engine, and its hook by itself.
            starts.wait_until(lambda: not os.listdir(
                plans.hooks_dir(self.state_dir, instance_uuid)))
            self._park(instance_uuid)
            starts.wait_until(lambda: self._starts(instance_uuid, turn))
            turn.check()
        self.assertEqual([], self.unasked)
        self.assertEqual('running', self._state(instance_uuid))

    def _starts(self, instance_uuid, turn):
        """Whether a try to start succeeds; the engine has to recover."""
        try:
            return self._start(instance_uuid, turn)
        except errors.EngineError:
            self.assertFalse(turn.taken)
            time.sleep(0.5)
            return False
