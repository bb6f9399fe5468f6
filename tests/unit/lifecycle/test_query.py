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


"""What Nova asks about instances."""

import fixtures
from nova.compute import power_state
from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.host import stats
from nova_docker.spec import names
from tests.fixtures import starts
from tests.unit.lifecycle import base

USAGE = stats.Usage(
    uptime=60, cpu_time=7 * 10**9, memory_used=3 << 20,
    memory_limit=64 << 20, processes=2, read_bytes=4096, read_requests=1,
    write_bytes=8192, write_requests=2)


class QueryTestCase(base.LifecycleTestCase):

    def requests(self):
        """What the engine was asked, other than by the thread of events."""
        return self.steps(('list_containers', 'inspect_container'))

    def settle(self):
        """Wait until the cache knows that the instance runs."""
        starts.wait_until(lambda: (
            known := self.services.states.get(uuids.instance)) and
            known.power == power_state.RUNNING)
        self.compute.steps.clear()


class InfoTest(QueryTestCase):

    def test_from_the_cache(self):
        self.spawn()
        self.settle()
        info = self.driver.get_info(self.instance)
        self.assertEqual(power_state.RUNNING, info.state)
        self.assertEqual([], self.requests())
        self.assertEqual(self.container['Id'], info.internal_id)

    def test_from_the_engine(self):
        self.spawn()
        self.settle()
        info = self.driver.get_info(self.instance, use_cache=False)
        self.assertEqual(power_state.RUNNING, info.state)
        # One list: an inspection would wait for a container that starts.
        self.assertEqual(['list_containers'], self.requests())

    def test_from_the_engine_before_the_event_came(self):
        self.services.events.stop()
        self.spawn()
        self.assertEqual(power_state.RUNNING, self.driver.get_info(
            self.instance, use_cache=False).state)
        self.power_off()
        self.assertEqual(power_state.SHUTDOWN, self.driver.get_info(
            self.instance, use_cache=False).state)

    def test_not_in_the_cache(self):
        self.services.events.stop()
        self.spawned()
        self.assertIsNone(self.services.states.get(uuids.instance))
        self.assertEqual(power_state.RUNNING,
                         self.driver.get_info(self.instance).state)

    def test_no_container(self):
        for use_cache in (True, False):
            self.assertRaises(exception.InstanceNotFound,
                              self.driver.get_info, self.instance, use_cache)


class ListTest(QueryTestCase):

    def test_ours_only(self):
        self.spawn()
        self.foreign_container()
        self.foreign_container('other', names.labels(
            uuids.other, 'n', 'host10', 'p'))
        self.compute.steps.clear()
        self.assertEqual([uuids.instance], self.driver.list_instance_uuids())
        self.assertEqual([self.instance.name], self.driver.list_instances())
        self.assertEqual(['list_containers'] * 2, self.requests())

    def test_none(self):
        self.assertEqual([], self.driver.list_instances())
        self.assertEqual([], self.driver.list_instance_uuids())


class ConsoleTest(QueryTestCase):

    def output(self):
        return self.driver.get_console_output(self.context, self.instance)

    def test_running_or_not(self):
        self.spawn()
        self.engine.write_log(self.container['Id'], b'ready\n')
        self.assertEqual('ready\n', self.output())
        self.power_off()
        self.assertEqual('ready\n', self.output())

    def test_no_more_than_the_option_says(self):
        self.spawn()
        self.engine.write_log(self.container['Id'], b'x' * 200 * 1024)
        self.assertEqual(100 * 1024, len(self.output()))

    def test_no_container(self):
        self.assertRaises(exception.InstanceNotFound, self.output)

    def test_removed_meanwhile(self):
        self.spawn()
        self.engine.fail_next('container_logs', errors.NotFound('no', 404))
        self.assertRaises(exception.InstanceNotFound, self.output)


class DiagnosticsTest(QueryTestCase):

    def setUp(self):
        super().setUp()
        self.usage = self.useFixture(fixtures.MockPatchObject(
            stats, 'container', autospec=True, return_value=USAGE)).mock
        self.nic = self.useFixture(fixtures.MockPatchObject(
            stats, 'nic', autospec=True,
            return_value={'rx_octets': 5})).mock

    def old(self):
        return self.driver.get_diagnostics(self.instance)

    def new(self):
        return self.driver.get_instance_diagnostics(self.instance)

    def test_running(self):
        self.spawn()
        device = f'tap{uuids.port[:11]}'
        self.assertEqual(
            {'cpu0_time': 7 * 10**9, 'memory': 64 << 20,
             'memory-rss': 3 << 20, 'processes': 2, 'read_bytes': 4096,
             'read_req': 1, 'write_bytes': 8192, 'write_req': 2,
             f'{device}_rx_octets': 5}, self.old())
        self.nic.assert_called_once_with(device)
        pid, = self.usage.call_args.args
        self.assertEqual(self.engine.inspect_container(
            self.container['Id'])['State']['Pid'], pid)

    def test_running_with_a_newer_api(self):
        self.spawn()
        found = self.new()
        self.assertEqual('running', found.state)
        self.assertEqual('docker', found.hypervisor)
        self.assertEqual(60, found.uptime)
        self.assertEqual(64, found.memory_details.maximum)
        self.assertEqual(3, found.memory_details.used)
        self.assertEqual([7 * 10**9],
                         [cpu.time for cpu in found.cpu_details])
        self.assertEqual([4096],
                         [disk.read_bytes for disk in found.disk_details])
        nic, = found.nic_details
        self.assertEqual('fa:16:3e:00:00:01', nic.mac_address)
        self.assertEqual(5, nic.rx_octets)
        self.assertEqual((1, 1, 1), (
            found.num_cpus, found.num_disks, found.num_nics))

    def test_stopped(self):
        self.spawn()
        self.power_off()
        self.compute.steps.clear()
        self.usage.return_value = stats.Usage()
        self.assertEqual([5], list(self.old().values()))
        found = self.new()
        self.assertEqual('shutdown', found.state)
        self.assertEqual(1, found.num_nics)
        self.usage.assert_called_with(0)
        # An inspection would block if it starts just now.
        self.assertNotIn('inspect_container', self.requests())

    def test_health(self):
        self.spawn()
        self.assertNotIn('health', self.old())
        self.engine.probe(self.container['Id'], False)
        self.assertEqual('unhealthy', self.old()['health'])

    def test_the_process_ended_meanwhile(self):
        self.spawn()
        self.usage.return_value = stats.Usage()
        self.assertEqual([5], list(self.old().values()))
        self.assertEqual('shutdown', self.new().state)

    def test_the_kernel_tells_little(self):
        self.spawn()
        self.usage.return_value = stats.Usage(uptime=1, memory_limit=1 << 20)
        self.assertEqual({'memory': 1 << 20}, {
            name: value for name, value in self.old().items()
            if not name.startswith('tap')})
        found = self.new()
        self.assertEqual('running', found.state)
        self.assertEqual((0, 0), (found.num_cpus, found.num_disks))
        self.assertEqual(0, found.memory_details.used)

    def test_no_ports(self):
        self.spawn()
        self.instance.info_cache.network_info = None
        self.assertEqual(0, self.new().num_nics)
        self.nic.assert_not_called()

    def test_no_container(self):
        for verb in (self.old, self.new):
            self.assertRaises(exception.InstanceNotFound, verb)

    def test_removed_meanwhile(self):
        self.spawn()
        self.engine.fail_next('inspect_container', errors.NotFound('', 404))
        self.assertRaises(exception.InstanceNotFound, self.old)
