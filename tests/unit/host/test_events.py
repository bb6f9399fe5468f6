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


import contextlib
import queue
import threading
import time
from unittest import mock

import fixtures
from nova.compute import manager
from nova.compute import power_state
from nova import test
from nova.virt import event as virtevent
from oslotest import base

from nova_docker.engine import errors
from nova_docker.host import events
from nova_docker.host import states
from nova_docker.spec import names
from tests.unit.host import test_states

UUID = test_states.UUID
OTHER = test_states.OTHER
HOST = test_states.HOST
NAME = test_states.NAME

STARTED = virtevent.EVENT_LIFECYCLE_STARTED
STOPPED = virtevent.EVENT_LIFECYCLE_STOPPED
PAUSED = virtevent.EVENT_LIFECYCLE_PAUSED
RESUMED = virtevent.EVENT_LIFECYCLE_RESUMED

#: Seconds that a test waits for what must happen, and for what must not.
LONG = 60
SHORT = 0.3


class Nova:
    """What Nova is told, as the manager would see it."""

    def __init__(self, states):
        self.told = queue.Queue()
        self.errors = queue.Queue()
        self.entered = threading.Event()
        self.blocked = threading.Event()
        self.blocked.set()
        self._states = states

    def emit(self, event):
        self.entered.set()
        self.blocked.wait(LONG)
        if not self.errors.empty():
            raise self.errors.get()
        known = self._states.get(event.get_instance_uuid())
        self.told.put((event.get_instance_uuid(), event.get_transition(),
                       known and known.power))

    def next(self):
        return self.told.get(timeout=LONG)


class EventThreadCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            events, '_AGAIN_AFTER', 0.05))
        self.useFixture(fixtures.MockPatchObject(events, '_AGAIN_TIMES', 0))
        self.engine = test_states.fake_engine()
        self.states = states.States(HOST)
        self.nova = Nova(self.states)
        self.died = queue.Queue()
        self.connected = queue.Queue()
        self.sick = queue.Queue()
        self.away = queue.Queue()
        self.handled = False
        self.thread = events.EventThread(
            self.engine, HOST, self.states, self.nova.emit, self.died.put,
            lambda: self.connected.put(True), self.sick.put, self._on_away)

    def _on_away(self, uuid):
        self.away.put(uuid)
        return self.handled

    def start(self):
        self.states.refresh(self.engine)
        self.thread.start()
        self.addCleanup(self.thread.stop)
        self.wait_for(lambda: 'events' in self.called())

    def called(self):
        return [name for name, _args in self.engine.calls]

    def wait_for(self, condition):
        deadline = time.monotonic() + LONG
        while not condition():
            self.assertLess(time.monotonic(), deadline, 'waited in vain')
            time.sleep(0.01)

    def wait_for_power(self, power, uuid=UUID):
        self.wait_for(lambda: (known := self.states.get(uuid)) and
                      known.power == power)

    def assert_nothing_told(self):
        self.assertRaises(queue.Empty, self.nova.told.get, timeout=SHORT)


class HealthTest(EventThreadCase):

    def setUp(self):
        super().setUp()
        test_states.create(self.engine, labels=names.watchdog_label('reset'))

    def test_told(self):
        self.start()
        self.engine.probe(NAME, True)
        self.engine.probe(NAME, False)
        self.assertEqual(UUID, self.sick.get(timeout=LONG))
        self.engine.probe(NAME, False)
        self.assertRaises(queue.Empty, self.sick.get, timeout=SHORT)

    def test_without_watchdog(self):
        self.start()
        test_states.create(self.engine, OTHER)
        self.engine.probe(names.container_name(OTHER), False)
        self.assertRaises(queue.Empty, self.sick.get, timeout=SHORT)

    def test_after_the_engine_was_away(self):
        self.start()
        self.engine.go_down()
        self.engine.probe(NAME, False)
        self.engine.come_up()
        self.assertEqual(UUID, self.sick.get(timeout=LONG))


class FollowTest(EventThreadCase):

    def test_life(self):
        self.start()
        test_states.create(self.engine)
        self.assertEqual((UUID, STARTED, power_state.RUNNING),
                         self.nova.next())
        self.engine.pause_container(NAME)
        self.assertEqual((UUID, PAUSED, power_state.PAUSED),
                         self.nova.next())
        self.engine.unpause_container(NAME)
        self.assertEqual((UUID, RESUMED, power_state.RUNNING),
                         self.nova.next())
        self.engine.exit(NAME)
        self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                         self.nova.next())
        self.assertEqual(UUID, self.died.get(timeout=LONG))
        self.engine.remove_container(NAME)
        self.wait_for(lambda: self.states.get(UUID) is None)
        self.assert_nothing_told()

    def test_only_own_containers(self):
        self.start()
        test_states.create(self.engine, OTHER, host='host2')
        test_states.create(self.engine)
        self.assertEqual(UUID, self.nova.next()[0])

    def test_crash_is_shutdown_as_nova_is_told(self):
        test_states.create(self.engine)
        self.start()
        self.engine.exit(NAME, oom=True)
        self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                         self.nova.next())
        self.wait_for_power(power_state.CRASHED)

    def test_removed_by_hand(self):
        test_states.create(self.engine)
        self.start()
        self.engine.remove_container(NAME)
        self.assertEqual(UUID, self.died.get(timeout=LONG))
        self.wait_for(lambda: self.states.get(UUID) is None)

    def test_nova_that_blocks_does_not_hold_up_the_cache(self):
        test_states.create(self.engine)
        self.start()
        self.nova.blocked.clear()
        self.engine.pause_container(NAME)
        self.wait_for_power(power_state.PAUSED)
        self.engine.unpause_container(NAME)
        self.wait_for_power(power_state.RUNNING)
        self.nova.blocked.set()
        self.assertEqual([PAUSED, RESUMED],
                         [self.nova.next()[1], self.nova.next()[1]])

    def test_stop_that_a_start_has_overtaken_is_not_told(self):
        test_states.create(self.engine)
        self.start()
        self.nova.blocked.clear()
        test_states.create(self.engine, OTHER)
        self.engine.stop_container(NAME, 0)
        self.engine.start_container(NAME, 10)
        self.engine.pause_container(NAME)
        self.wait_for_power(power_state.PAUSED)
        self.nova.blocked.set()
        self.assertEqual(
            [(OTHER, STARTED), (UUID, STARTED), (UUID, PAUSED)],
            [self.nova.next()[:2] for _time in range(3)])
        self.assert_nothing_told()

    def test_exception_of_nova_ends_nothing(self):
        self.start()
        self.nova.errors.put(RuntimeError('no conductor'))
        test_states.create(self.engine)
        self.wait_for(self.nova.errors.empty)
        self.engine.exit(NAME)
        self.assertEqual(STOPPED, self.nova.next()[1])


class AgainTest(EventThreadCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(events, '_AGAIN_TIMES', 2))
        test_states.create(self.engine)
        self.start()

    def test_end_by_itself(self):
        self.engine.exit(NAME)
        for _time in range(3):
            self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                             self.nova.next())
        self.assert_nothing_told()

    def test_crash(self):
        self.engine.exit(NAME, oom=True)
        for _time in range(3):
            self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                             self.nova.next())
        self.wait_for_power(power_state.CRASHED)

    def test_end_that_was_asked_for(self):
        self.engine.stop_container(NAME, 1)
        self.assertEqual(STOPPED, self.nova.next()[1])
        self.assert_nothing_told()

    def test_restarted_by_hand(self):
        for _time in range(2):
            self.engine.stop_container(NAME, 1)
            self.engine.start_container(NAME, 10)
            self.assertEqual(STARTED, self.nova.next()[1])
        self.assert_nothing_told()

    def test_started_meanwhile(self):
        self.engine.exit(NAME)
        self.assertEqual(STOPPED, self.nova.next()[1])
        self.engine.start_container(NAME, 10)
        while self.nova.next()[1] != STARTED:
            pass
        self.assert_nothing_told()

    def test_removed_meanwhile(self):
        self.useFixture(fixtures.MockPatchObject(events, '_AGAIN_AFTER', 1))
        self.engine.exit(NAME)
        self.assertEqual(STOPPED, self.nova.next()[1])
        self.engine.remove_container(NAME)
        self.assertRaises(queue.Empty, self.nova.told.get, timeout=1.5)


class ReconnectTest(EventThreadCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            events, '_LONGEST_WAIT', 0.05))

    @contextlib.contextmanager
    def engine_away(self):
        self.engine.go_down()
        before = self.called().count('events')
        self.wait_for(lambda: self.called().count('events') > before)
        yield
        before = self.called().count('events')
        self.engine.come_up()
        self.wait_for(lambda: self.called().count('events') > before)

    def test_what_happened_meanwhile_is_told(self):
        test_states.create(self.engine)
        test_states.create(self.engine, OTHER)
        self.start()
        with self.engine_away():
            self.engine.exit(NAME)
        self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                         self.nova.next())
        self.assertEqual(UUID, self.died.get(timeout=LONG))
        self.engine.pause_container(names.container_name(OTHER))
        self.assertEqual((OTHER, PAUSED, power_state.PAUSED),
                         self.nova.next())

    def test_end_meanwhile_that_is_handled(self):
        test_states.create(self.engine)
        self.start()
        self.handled = True
        with self.engine_away():
            self.engine.exit(NAME)
        self.assertEqual(UUID, self.away.get(timeout=LONG))
        self.assertEqual(UUID, self.died.get(timeout=LONG))
        self.assert_nothing_told()

    def test_end_with_the_engine(self):
        """An engine that goes tells of ends, and takes no requests."""
        test_states.create(self.engine)
        self.start()
        version = self.useFixture(fixtures.MockPatchObject(
            self.engine, 'version',
            side_effect=errors.Unavailable('it goes'))).mock
        self.engine.stop_container(NAME, 0)
        self.assertEqual(UUID, self.died.get(timeout=LONG))
        self.wait_for(lambda: version.call_count > 2)
        self.assertTrue(self.nova.told.empty() and self.away.empty())
        version.side_effect = None
        self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                         self.nova.next())
        self.assertEqual(UUID, self.away.get(timeout=LONG))

    def test_end_before_the_engine_is_another_matter(self):
        test_states.create(self.engine)
        self.start()
        self.engine.exit(NAME)
        self.assertEqual(UUID, self.nova.next()[0])
        with self.engine_away():
            pass
        self.assertTrue(self.away.empty())

    def test_connected_again(self):
        self.start()
        self.connected.get(timeout=LONG)
        with self.engine_away():
            self.assertTrue(self.connected.empty())
        self.connected.get(timeout=LONG)

    def test_crash_meanwhile(self):
        test_states.create(self.engine)
        self.start()
        with self.engine_away():
            self.engine.exit(NAME, oom=True)
        self.assertEqual((UUID, STOPPED, power_state.SHUTDOWN),
                         self.nova.next())
        self.wait_for_power(power_state.CRASHED)

    def test_removed_meanwhile(self):
        test_states.create(self.engine)
        self.start()
        self.engine.go_down()
        self.engine.come_up()
        # Before the thread is back, most of the time.
        self.engine.remove_container(NAME)
        self.assertEqual(UUID, self.died.get(timeout=LONG))
        self.assert_nothing_told()
        self.assertIsNone(self.states.get(UUID))

    def test_crash_before_the_start(self):
        test_states.create(self.engine)
        self.engine.exit(NAME, oom=True)
        self.start()
        self.wait_for_power(power_state.CRASHED)
        self.assert_nothing_told()

    def test_container_that_starts_holds_up_nobody(self):
        test_states.create(self.engine, start=False)
        test_states.create(self.engine, OTHER)
        with self.engine.hang('inspect_container'):
            self.start()
            self.wait_for(lambda: 'inspect_container' in self.called())
            self.engine.exit(names.container_name(OTHER))
            self.assertEqual((OTHER, STOPPED, power_state.SHUTDOWN),
                             self.nova.next())

    def test_engine_that_is_away_at_first(self):
        self.engine.fail_next('events', errors.Unavailable('away'))
        self.engine.fail_next('list_containers', errors.Timeout('hangs'))
        self.thread.start()
        self.addCleanup(self.thread.stop)
        test_states.create(self.engine)
        self.assertEqual(STARTED, self.nova.next()[1])

    def test_waits_longer_and_longer(self):
        self.useFixture(fixtures.MockPatchObject(events, '_LONGEST_WAIT', 8))
        waits = []
        for failures in range(7):
            self.thread._failures = failures
            waits.append(self.thread._backoff(mock.sentinel.state))
        self.assertEqual([0.25, 0.5, 1, 2, 4, 8, 8], waits)

    def test_bad_event(self):
        self.start()
        with mock.patch.object(self.states, 'apply', autospec=True,
                               side_effect=KeyError('Actor')):
            test_states.create(self.engine)
            self.wait_for(lambda: self.called().count('events') > 1)
        self.assertEqual(STARTED, self.nova.next()[1])


class StopTest(EventThreadCase):

    def assert_stops(self):
        self.thread.stop()
        self.assertFalse(self.thread._reader.is_alive())

    def test_idle(self):
        self.start()
        self.assert_stops()

    def test_engine_away(self):
        self.start()
        self.engine.go_down()
        self.wait_for(lambda: self.thread._failures)
        self.assert_stops()

    def test_never_started(self):
        self.thread.stop()

    def test_tells_nothing_more(self):
        self.useFixture(fixtures.MockPatchObject(events, '_STOP_WAIT', 0.1))
        test_states.create(self.engine)
        self.start()
        self.nova.blocked.clear()
        self.engine.pause_container(NAME)
        self.wait_for_power(power_state.PAUSED)
        self.engine.unpause_container(NAME)
        self.wait_for_power(power_state.RUNNING)
        self.assertTrue(self.nova.entered.wait(LONG))
        self.thread.stop()
        self.nova.blocked.set()
        self.assertEqual(PAUSED, self.nova.next()[1])
        self.assert_nothing_told()


class ManagerTest(test.NoDBTestCase):
    """Nova's handler with what get_info says while it runs."""

    def handle(self, power):
        compute = mock.create_autospec(manager.ComputeManager, instance=True)
        compute._get_power_state.return_value = power
        with mock.patch.object(manager.objects.Instance, 'get_by_uuid',
                               autospec=True):
            manager.ComputeManager.handle_lifecycle_event(
                compute, virtevent.LifecycleEvent(UUID, STOPPED))
        return compute._sync_instance_power_state.called

    def test_it_stops_the_server_of_shutdown_only(self):
        # If this ever fails for CRASHED, States.telling may go.
        self.assertTrue(self.handle(power_state.SHUTDOWN))
        self.assertFalse(self.handle(power_state.CRASHED))
