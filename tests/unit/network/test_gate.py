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


import os
import threading
from unittest import mock

import fixtures
from nova import exception
from oslotest import base

from nova_docker.cdi import hook
from nova_docker.network import gate
from nova_docker.network import netns
from nova_docker.network import plans
from nova_docker.spec import ports
from tests.fixtures import starts

UUID = '5c5a4ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'
OTHER = '6d6b5ff4-3f3c-4f37-8c6a-9e2a2a4d4c11'


def port(name='eth0'):
    return ports.Port('p', name, 'fa:16:3e:00:00:01', 1442, 'tapp', 'ndp')


class GateTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        hook.install(self.state_dir)
        plans.ensure(self.state_dir, UUID)
        self.configure = self._patch('configure')
        self.route = self._patch('route')
        self.hold = self._patch('hold')
        self.on_start = mock.Mock(return_value=[port('unasked')])
        self.on_container = mock.Mock()
        #: By instance, the container that must not start.
        self.left = {OTHER: 'another'}
        self.gate = self._gate()

    def _patch(self, name):
        return self.useFixture(fixtures.MockPatchObject(
            netns, name, autospec=True)).mock

    def _gate(self):
        made = gate.Gate(self.state_dir, self.on_start, self.on_container,
                         self.left.get, 20)
        made.start()
        self.addCleanup(made.stop)
        return made

    def _start(self, uuid=UUID):
        return self.useFixture(starts.Start(self.state_dir, uuid))

    def _received(self, start):
        """Wait until the gate knows about a start."""
        starts.wait_until(lambda: start.hook.pid in {
            each.pid for each in self.gate._waiting})

    def test_start_of_a_verb(self):
        with self.gate.turn(UUID) as turn:
            self.assertFalse(turn.taken)
            turn.hand([port()])
            start = self._start()
            self.assertTrue(start.result())
            self.assertTrue(turn.taken)
            turn.check()
        self.configure.assert_called_once_with(start.container.pid, [port()])
        self.route.assert_called_once_with(start.container.pid, [port()])
        self.hold.assert_called_once_with(
            plans.netns_path(self.state_dir, UUID), start.container.pid)
        self.on_start.assert_not_called()
        self.assertEqual([port()], plans.read(self.state_dir, UUID))
        self.assertEqual([], start.files())

    def test_the_container_is_prepared_first(self):
        order = mock.Mock()
        order.attach_mock(self.on_container, 'on_container')
        order.attach_mock(self.configure, 'configure')
        start = self._start()
        self.assertTrue(start.result())
        self.assertEqual(
            [mock.call.on_container(UUID, start.container.pid, 'c'),
             mock.call.configure(start.container.pid, [port('unasked')])],
            order.mock_calls)
        self.on_container.side_effect = OSError('no limits')
        with self.gate.turn(UUID) as turn:
            turn.hand([port()])
            self.assertFalse(self._start().result())
            self.assertIn('no limits', str(turn.error))

    def test_a_container_that_was_left(self):
        self.left[UUID] = 'c'
        self.assertFalse(self._start().result())
        self.on_start.assert_not_called()
        with self.gate.turn(UUID) as turn:
            turn.hand([port()])
            self.assertFalse(self._start().result())
            self.assertFalse(turn.taken)
            self.left[UUID] = 'another'
            self.assertTrue(self._start().result())
            turn.check()

    def test_the_start_waits_for_the_plan(self):
        with self.gate.turn(UUID) as turn:
            start = self._start()
            self._received(start)
            self.assertIsNone(start.result(timeout=0.2))
            turn.hand([port()])
            self.assertTrue(start.result())
        self.on_start.assert_not_called()

    def test_the_start_waits_for_the_end_of_the_turn(self):
        with self.gate.turn(UUID):
            start = self._start()
            self._received(start)
            self.assertIsNone(start.result(timeout=0.2))
            self.configure.assert_not_called()
        self.assertTrue(start.result())
        self.on_start.assert_called_once_with(UUID, start.container.pid)

    def _start_inside_on_start(self):
        """A start that the gate works at until the event is set."""
        inside, leave = threading.Event(), threading.Event()

        def on_start(uuid, pid):
            inside.set()
            self.assertTrue(leave.wait(60))
            return []

        self.on_start.side_effect = on_start
        start = self._start()
        self.assertTrue(inside.wait(60))
        return start, leave

    def test_start_that_nova_did_not_ask_for(self):
        start = self._start()
        self.assertTrue(start.result())
        self.configure.assert_called_once_with(
            start.container.pid, [port('unasked')])
        self.assertEqual([port('unasked')],
                         plans.read(self.state_dir, UUID))

    def test_the_gate_has_the_turn_during_on_start(self):
        start, leave = self._start_inside_on_start()
        order = []

        def verb():
            with self.gate.turn(UUID):
                order.append(self.configure.call_count)

        thread = threading.Thread(target=verb)
        thread.start()
        thread.join(0.2)
        self.assertTrue(thread.is_alive())
        leave.set()
        self.assertTrue(start.result())
        thread.join(60)
        self.assertEqual([1], order)

    def test_instances_do_not_wait_for_each_other(self):
        plans.ensure(self.state_dir, OTHER)
        with self.gate.turn(UUID):
            with self.gate.turn(OTHER) as turn:
                turn.hand([])
                self.assertTrue(self._start(OTHER).result())

    def test_turns_come_one_after_the_other(self):
        running = []

        def verb():
            with self.gate.turn(UUID):
                running.append(1)
                self.assertEqual(1, len(running))
                threading.Event().wait(0.01)
                running.pop()

        threads = [threading.Thread(target=verb) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        self.assertEqual({}, self.gate._turns)

    def test_who_holds_a_turn(self):
        self.assertFalse(self.gate.holds('u'))
        with self.gate.turn('u'):
            self.assertTrue(self.gate.holds('u'))
            self.assertFalse(self.gate.holds('other'))
            found = []
            thread = threading.Thread(
                target=lambda: found.append(self.gate.holds('u')))
            thread.start()
            thread.join()
        self.assertEqual([False], found)
        self.assertFalse(self.gate.holds('u'))

    def test_turn_is_not_reentrant(self):
        with self.gate.turn(UUID):
            self.assertRaises(RuntimeError,
                              self.gate.turn(UUID).__enter__)
        with self.gate.turn(UUID):
            pass

    def test_plan_is_good_for_one_start(self):
        with self.gate.turn(UUID) as turn:
            turn.hand([port()])
            self.assertTrue(self._start().result())
            second = self._start()
            self.assertIsNone(second.result(timeout=0.2))
            turn.hand([port('again')])
            self.assertTrue(second.result())
        self.assertEqual([port('again')], self.configure.call_args.args[1])

    def test_plan_is_not_used_up_by_a_start_that_ended(self):
        with self.gate.turn(UUID) as turn:
            dead = self._start()
            self._received(dead)
            dead.hook.kill()
            dead.result()
            turn.hand([port()])
            self.assertTrue(self._start().result())
            turn.check()
        self.assertEqual(1, self.configure.call_count)

    def test_plan_does_not_outlive_the_turn(self):
        with self.gate.turn(UUID) as turn:
            turn.hand([port()])
        self.assertTrue(self._start().result())
        self.on_start.assert_called_once()

    def test_the_turn_lasts_while_its_plan_is_used(self):
        inside, leave = threading.Event(), threading.Event()

        def configure(pid, plan):
            inside.set()
            self.assertTrue(leave.wait(60))

        self.configure.side_effect = configure
        done = []

        def verb():
            with self.gate.turn(UUID) as turn:
                turn.hand([port()])
                self.assertTrue(inside.wait(60))
            done.append(True)

        thread = threading.Thread(target=verb)
        thread.start()
        start = self._start()
        self.assertTrue(inside.wait(60))
        thread.join(0.2)
        self.assertEqual([], done)
        leave.set()
        thread.join(60)
        self.assertEqual([True], done)
        self.assertTrue(start.result())

    def test_failure_fails_the_start(self):
        self.configure.side_effect = OSError(19, 'no such device')
        with self.gate.turn(UUID) as turn:
            turn.hand([port()])
            self.assertIs(False, self._start().result())
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, turn.check)
        self.assertIn('no such device', str(error))
        self.hold.assert_not_called()

    def test_failure_of_on_start_fails_the_start(self):
        self.on_start.side_effect = exception.InstanceNotFound(
            instance_id=UUID)
        self.assertIs(False, self._start().result())
        self.on_start.side_effect = None
        self.assertTrue(self._start().result())

    def test_failure_to_hold_does_not(self):
        self.hold.side_effect = OSError(1, 'no')
        self.assertTrue(self._start().result())

    def test_engine_that_did_not_ask(self):
        with self.gate.turn(UUID) as turn:
            turn.hand([port()])
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, turn.check)
        self.assertIn('did not run the start hook', str(error))

    def test_refuse_while_the_gate_works(self):
        start, leave = self._start_inside_on_start()
        thread = threading.Thread(target=self._stop)
        thread.start()
        # At once, and the verb waits for the gate to let go.
        self.assertIs(False, start.result())
        self.assertTrue(thread.is_alive())
        leave.set()
        thread.join(60)
        self.assertFalse(thread.is_alive())

    def test_refuse_spares_other_instances(self):
        plans.ensure(self.state_dir, OTHER)
        with self.gate.turn(UUID) as turn:
            start = self._start()
            self._received(start)
            with self.gate.turn(OTHER, refuse=True):
                self.assertIsNone(start.result(timeout=0.2))
            turn.hand([])
            self.assertTrue(start.result())

    def test_refuse(self):
        blocked = threading.Event()

        def on_start(uuid, pid):
            blocked.set()
            return []

        self.on_start.side_effect = on_start
        with self.gate.turn(UUID, refuse=True) as turn:
            self.assertIs(False, self._start().result())
            self.assertIs(False, self._start().result())
            turn.hand([port()])
            self.assertTrue(self._start().result())
        self.assertFalse(blocked.is_set())
        self.assertTrue(self._start().result())

    def test_refuse_aborts_the_start_that_waits(self):
        entered = threading.Event()

        def verb():
            with self.gate.turn(UUID, refuse=True):
                entered.set()

        with self.gate.turn(UUID):
            start = self._start()
            self._received(start)
            thread = threading.Thread(target=verb)
            thread.start()
            self.assertIs(False, start.result())
            self.assertFalse(entered.is_set())
        thread.join(60)
        self.assertTrue(entered.is_set())
        self.on_start.assert_not_called()

    def test_refuse_the_start_that_comes_while_a_verb_waits(self):
        with self.gate.turn(UUID):
            thread = threading.Thread(target=self._stop)
            thread.start()
            starts.wait_until(lambda: UUID in self.gate._refusals)
            self.assertIs(False, self._start().result())
        thread.join(60)
        self.assertEqual({}, self.gate._refusals)
        self.assertTrue(self._start().result())

    def _stop(self):
        with self.gate.turn(UUID, refuse=True):
            pass

    def test_new_driver_serves_the_start_that_waits(self):
        self.gate.stop()
        start = self._start()
        self.assertIsNone(start.result(timeout=0.3))
        self.assertTrue(start.waiting)
        self._gate()
        self.assertTrue(start.result())
        # Found by its state file and by its request, and served once.
        self.on_start.assert_called_once_with(UUID, start.container.pid)

    def test_start_is_served_once(self):
        start = self._start()
        self.assertTrue(start.result())
        self.gate._receive(next(iter(self.gate._answered)))
        self.on_start.assert_called_once()

    def test_new_driver_sweeps(self):
        self.gate.stop()
        path = starts.write_state(self.state_dir, UUID, '999999-1', 1)
        self._gate()
        self.assertFalse(os.path.exists(path))
        self.on_start.assert_not_called()

    def test_nonsense_does_not_stop_the_gate(self):
        requests = os.open(plans.requests_path(self.state_dir), os.O_WRONLY)
        os.write(requests, b'x\n\xff\xfe\n' + f'{UUID} 1-1\n'.encode())
        os.close(requests)
        self.assertTrue(self._start().result())
        self.assertEqual(1, self.configure.call_count)

    def test_many_starts_at_once(self):
        many = [self._start() for _ in range(8)]
        self.assertEqual([True] * 8, [start.result() for start in many])
        self.assertEqual(
            {start.container.pid for start in many},
            {call.args[0] for call in self.configure.call_args_list})

    def test_stop_twice(self):
        self.gate.stop()
        self.gate.stop()

    def test_requests_must_be_a_fifo(self):
        self.gate.stop()
        path = plans.requests_path(self.state_dir)
        os.unlink(path)
        with open(path, 'w'):
            pass
        self.assertRaises(OSError, gate.Gate(
            self.state_dir, self.on_start, self.on_container,
            self.left.get, 20).start)
