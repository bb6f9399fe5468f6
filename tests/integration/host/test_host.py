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


"""The host side on real engines, of which some are broken on purpose."""

import contextlib
import os
import queue
import signal
import tempfile
import time

from nova.compute import power_state
from nova.virt import event as virtevent
from oslo_utils import uuidutils
from oslotest import base

from nova_docker.console import log
from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker import exception
from nova_docker.host import events
from nova_docker.host import startup
from nova_docker.host import states
from nova_docker.host import stats
from nova_docker.spec import names
from tests.fixtures import busybox
from tests.fixtures import dockerd

#: Seconds within which what must happen happens, on a busy machine too.
LONG = 60
IMAGE = 'busybox'

STARTED = virtevent.EVENT_LIFECYCLE_STARTED
STOPPED = virtevent.EVENT_LIFECYCLE_STOPPED


class HostCase(base.BaseTestCase):
    """With an engine, and containers of a host that no other test has."""

    live_restore: bool | None = None

    def setUp(self):
        super().setUp()
        if self.live_restore is None:
            self.url = dockerd.url()
        else:
            self.dockerd = self.useFixture(
                dockerd.Dockerd(self.live_restore))
            self.url = self.dockerd.url
        self.host = uuidutils.generate_uuid()
        self.engine = session.Session(session.Address(self.url))
        self.addCleanup(self.engine.close)
        self.engine.load_image([busybox.archive()])
        self.addCleanup(self.remove_all)
        self.states = states.States(self.host)
        self.told = queue.Queue()
        self.died = queue.Queue()

    def remove_all(self):
        for summary in self.engine.list_containers(
                names.host_filter(self.host)):
            with contextlib.suppress(errors.NotFound):
                self.engine.remove_container(summary['Id'])

    def follow(self):
        thread = events.EventThread(
            self.engine, self.host, self.states, self.emit, self.died.put)
        self.states.refresh(self.engine)
        thread.start()
        self.addCleanup(thread.stop)
        return thread

    def emit(self, event):
        uuid = event.get_instance_uuid()
        self.told.put((uuid, event.get_transition(),
                       self.states.fetch(self.engine, uuid).power))

    def next(self):
        return self.told.get(timeout=LONG)

    def run_container(self, *command, memory=0):
        uuid = uuidutils.generate_uuid()
        name = names.container_name(uuid)
        self.engine.create_container(name, {
            'Image': IMAGE, 'Cmd': list(command),
            'Labels': names.labels(uuid, 'instance-1', self.host, 'project1'),
            'HostConfig': {'NetworkMode': 'none', 'Memory': memory,
                           'MemorySwap': memory}})
        self.engine.start_container(name, LONG)
        return uuid, name

    def wait_for(self, condition):
        deadline = time.monotonic() + LONG
        while not condition():
            self.assertLess(time.monotonic(), deadline, 'waited in vain')
            time.sleep(0.05)

    def pid(self, name):
        return self.engine.inspect_container(name)['State']['Pid']


class EventsTest(HostCase):

    def test_life(self):
        self.follow()
        uuid, name = self.run_container('sleep', '1000')
        self.assertEqual((uuid, STARTED, power_state.RUNNING), self.next())
        self.engine.pause_container(name)
        self.assertEqual(
            (uuid, virtevent.EVENT_LIFECYCLE_PAUSED, power_state.PAUSED),
            self.next())
        self.engine.unpause_container(name)
        self.assertEqual(
            (uuid, virtevent.EVENT_LIFECYCLE_RESUMED, power_state.RUNNING),
            self.next())
        self.engine.stop_container(name, 0)
        # A busy engine tells of a short pause twice: of its own request, and
        # of containerd's word of it, which finds the container unpaused.
        while (told := self.next()) != (
                uuid, STOPPED, power_state.SHUTDOWN):
            self.assertIn(told[1], (virtevent.EVENT_LIFECYCLE_PAUSED,
                                    virtevent.EVENT_LIFECYCLE_RESUMED))
        self.assertEqual(uuid, self.died.get(timeout=LONG))
        self.engine.remove_container(name)
        self.wait_for(lambda: self.states.get(uuid) is None)

    def test_command_that_exits(self):
        self.follow()
        before = time.monotonic()
        uuid, _name = self.run_container('sh', '-c', 'exit 3')
        while self.next() != (uuid, STOPPED, power_state.SHUTDOWN):
            pass
        # Nova was still spawning: it is told again.
        self.assertEqual((uuid, STOPPED, power_state.SHUTDOWN), self.next())
        self.assertGreater(time.monotonic() - before, events._AGAIN_AFTER)

    def test_out_of_memory(self):
        self.follow()
        uuid, _name = self.run_container(
            'sh', '-c', busybox.HUNGRY, memory=16 << 20)
        while self.next() != (uuid, STOPPED, power_state.SHUTDOWN):
            pass
        self.wait_for(lambda: self.states.get(uuid).power
                      == power_state.CRASHED)
        # As a nova-compute that has just started learns it.
        self.states = states.States(self.host)
        self.follow()
        self.wait_for(lambda: self.states.get(uuid).power
                      == power_state.CRASHED)


class KilledEngineTest(HostCase):
    """The daemon is killed; its containers run on."""

    live_restore = True

    def test_what_ended_meanwhile_is_told(self):
        gone, gone_name = self.run_container('sleep', '1000')
        stays, stays_name = self.run_container('sleep', '1000')
        pid = self.pid(gone_name)
        self.follow()
        self.dockerd.kill()
        self.assertRaises(errors.Unavailable, self.engine.info)
        os.kill(pid, signal.SIGKILL)
        self.dockerd.start()
        self.assertEqual((gone, STOPPED, power_state.SHUTDOWN), self.next())
        self.assertEqual(gone, self.died.get(timeout=LONG))
        self.assertEqual(power_state.RUNNING, self.states.get(stays).power)
        # And it is followed again.
        self.engine.stop_container(stays_name, 0)
        while self.next() != (stays, STOPPED, power_state.SHUTDOWN):
            pass

    def test_stop_while_the_engine_hangs(self):
        thread = self.follow()
        pid = self.dockerd.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            before = time.monotonic()
            thread.stop()
            self.assertLess(time.monotonic() - before, LONG / 2)
        finally:
            os.kill(pid, signal.SIGCONT)


class StoppedEngineTest(HostCase):
    """The daemon is stopped and its containers with it."""

    live_restore = False

    def test_all_ended(self):
        uuid, _name = self.run_container('sleep', '1000')
        self.follow()
        self.dockerd.stop()
        self.dockerd.start()
        self.wait_for(lambda: (known := self.states.get(uuid)) and known.off)
        self.assertEqual(uuid, self.died.get(timeout=LONG))


class StartupTest(HostCase):

    def cdi_dir(self):
        return self.engine.info()['CDISpecDirs'][0]

    def test_check(self):
        host = startup.check(self.engine, self.url, self.cdi_dir())
        info = self.engine.info()
        self.assertEqual(info['ServerVersion'], host.engine_version)
        self.assertEqual(info['NCPU'], len(host.cpu.online))
        self.assertGreater(host.disk_gb, 0)
        self.assertIn('runc', host.runtimes)

    def test_other_cdi_directory(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertRaises(exception.HostUnusable, startup.check,
                              self.engine, self.url, directory)

    def test_nobody_there(self):
        url = 'unix:///run/no-such-engine.sock'
        error = self.assertRaises(
            exception.HostUnusable, startup.check,
            session.Session(session.Address(url)), url, '/etc/cdi')
        self.assertIn('Start it', str(error))

    def test_only_what_has_no_container_is_removed(self):
        uuid, _name = self.run_container('sleep', '1000')
        left = {uuid, 'other'}
        startup.reconcile(self.engine, [startup.Kept(
            'thing', lambda: list(left), left.discard)])
        self.assertEqual({uuid}, left)


class UsageTest(HostCase):

    def test_container(self):
        _uuid, name = self.run_container(
            'sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; '
            'sleep 1000', memory=64 << 20)
        pid = self.pid(name)
        self.wait_for(
            lambda: (stats.container(pid).cpu_time or 0) > 1_000_000)
        usage = stats.container(pid)
        self.assertEqual(64 << 20, usage.memory_limit)
        self.assertGreater(usage.memory_used, 0)
        self.assertLess(usage.memory_used, 64 << 20)
        self.assertGreaterEqual(usage.processes, 1)
        self.assertGreaterEqual(usage.uptime, 0)
        self.assertLess(usage.cpu_time, LONG * 10**9)


class ConsoleTest(HostCase):

    def test_stopped_container(self):
        _uuid, name = self.run_container(
            'sh', '-c', 'echo "caf\u00e9 \u20ac"; sleep 1; echo oops >&2')
        self.wait_for(lambda: self.pid(name) == 0)
        self.assertEqual('caf? ?\noops\n',
                         log.read(self.engine, name, 1024))
        # Cut within the euro sign.
        self.assertEqual('\noops\n', log.read(self.engine, name, 8))
