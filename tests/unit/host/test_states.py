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


from concurrent import futures

from nova.compute import power_state
from oslotest import base

from nova_docker.engine import errors
from nova_docker.host import states
from nova_docker.spec import names
from nova_docker.spec import state
from tests.fixtures import busybox
from tests.fixtures import engine

HOST = 'host1'
UUID = '5f0a8c0c-0f0f-4e4b-9a54-5d8f6f9a0001'
OTHER = '5f0a8c0c-0f0f-4e4b-9a54-5d8f6f9a0002'
NAME = names.container_name(UUID)


def fake_engine():
    """A fake engine with the image that :func:`create` uses."""
    fake = engine.FakeEngine()
    fake.load_image([busybox.archive()])
    return fake


def create(fake, uuid=UUID, host=HOST, start=True, labels=None):
    """Make the container of an instance."""
    name = names.container_name(uuid)
    fake.create_container(name, {
        'Image': 'busybox', 'Cmd': ['sleep', '1000'],
        'Labels': names.labels(uuid, 'instance-1', host, 'project1') | (
            labels or {})})
    if start:
        fake.start_container(name, 10)


class StatesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = fake_engine()
        self.stream = self.engine.events({'type': ['container']})
        self.states = states.States(HOST)

    def follow(self):
        """Apply the events up to now."""
        self.stream.close()
        changes = [self.states.apply(event) for event in self.stream]
        self.stream = self.engine.events({'type': ['container']})
        return changes

    def power(self):
        return self.states.get(UUID).power

    def test_nothing_known(self):
        self.assertIsNone(self.states.get(UUID))
        self.assertEqual({}, self.states.all())

    def test_refresh(self):
        create(self.engine)
        create(self.engine, OTHER, start=False)
        self.states.refresh(self.engine)
        self.assertEqual({UUID, OTHER}, set(self.states.all()))
        self.assertEqual(NAME, self.states.get(UUID).name)
        self.assertEqual(power_state.RUNNING, self.power())
        self.assertEqual(power_state.SHUTDOWN, self.states.get(OTHER).power)

    def test_refresh_returns_the_changes(self):
        create(self.engine)
        create(self.engine, OTHER)
        self.states.refresh(self.engine)
        self.assertEqual([], self.states.refresh(self.engine))
        self.engine.exit(NAME)
        self.engine.remove_container(names.container_name(OTHER))
        changes = {uuid: (old.power, new and new.power) for uuid, old, new
                   in self.states.refresh(self.engine)}
        self.assertEqual(
            {UUID: (power_state.RUNNING, power_state.SHUTDOWN),
             OTHER: (power_state.RUNNING, None)}, changes)
        self.assertIsNone(self.states.get(OTHER))

    def test_refresh_that_fails_forgets_nothing(self):
        create(self.engine)
        self.states.refresh(self.engine)
        self.engine.go_down()
        self.assertRaises(errors.Unavailable, self.states.refresh,
                          self.engine)
        self.assertEqual(power_state.RUNNING, self.power())

    def test_others_do_not_exist(self):
        create(self.engine, host='host2')
        self.engine.create_container(
            'keystone', {'Image': 'busybox', 'Cmd': ['sh']})
        self.states.refresh(self.engine)
        self.assertEqual({}, self.states.all())
        self.assertIsNone(self.states.fetch(self.engine, UUID))

    def test_one_request_for_any_number(self):
        for number in range(20):
            create(self.engine, f'{UUID[:-2]}{number:02}')
        self.engine.calls.clear()
        self.states.refresh(self.engine)
        for uuid in self.states.all():
            self.states.get(uuid)
        self.assertEqual(['list_containers'],
                         [name for name, _args in self.engine.calls])

    def test_newer_container_wins(self):
        labels = names.labels(UUID, 'instance-1', HOST, 'project1')
        create(self.engine)
        second = self.engine.create_container(
            'second', {'Image': 'busybox', 'Cmd': ['sh'], 'Labels': labels})
        self.states.refresh(self.engine)
        self.assertEqual(second, self.states.get(UUID).container)

    def test_events(self):
        create(self.engine)
        self.follow()
        self.assertEqual(power_state.RUNNING, self.power())
        self.engine.pause_container(NAME)
        self.follow()
        self.assertEqual(power_state.PAUSED, self.power())
        self.engine.stop_container(NAME, 0)
        uuid, old, new = self.follow()[-1]
        self.assertEqual(UUID, uuid)
        self.assertFalse(old.off)
        self.assertTrue(new.off)
        self.assertEqual(power_state.SHUTDOWN, self.power())
        self.engine.remove_container(NAME)
        self.follow()
        self.assertIsNone(self.states.get(UUID))

    def test_event_of_a_stranger(self):
        self.engine.create_container(
            'keystone', {'Image': 'busybox', 'Cmd': ['sh']})
        self.assertEqual([None], self.follow())

    def test_fetch_asks_and_does_not_keep(self):
        create(self.engine)
        self.states.refresh(self.engine)
        self.engine.exit(NAME)
        self.assertEqual(power_state.SHUTDOWN,
                         self.states.fetch(self.engine, UUID).power)
        # The event that is underway must still be seen as a change.
        self.assertEqual(power_state.RUNNING, self.power())

    def test_out_of_memory(self):
        create(self.engine)
        self.engine.exit(NAME, oom=True)
        self.follow()
        self.assertEqual(power_state.CRASHED, self.power())
        self.assertEqual(power_state.CRASHED,
                         self.states.fetch(self.engine, UUID).power)

    def test_out_of_memory_while_nova_is_told(self):
        create(self.engine)
        self.engine.exit(NAME, oom=True)
        self.follow()
        with self.states.telling():
            self.assertEqual(power_state.SHUTDOWN, self.power())
            self.assertEqual(power_state.SHUTDOWN,
                             self.states.fetch(self.engine, UUID).power)
            with futures.ThreadPoolExecutor() as others:
                self.assertEqual(power_state.CRASHED,
                                 others.submit(self.power).result())
        self.assertEqual(power_state.CRASHED, self.power())

    def test_event_that_the_list_does_not_show_yet(self):
        create(self.engine)
        self.states.refresh(self.engine)
        self.engine.stop_container(NAME, 0)
        self.follow()
        self.engine.start_container(NAME, 10)
        with self.states.telling():
            self.assertEqual(power_state.SHUTDOWN,
                             self.states.fetch(self.engine, UUID).power)

    def test_started_again_after_a_crash(self):
        create(self.engine)
        self.engine.exit(NAME, oom=True)
        self.follow()
        self.engine.start_container(NAME, 10)
        self.assertEqual(power_state.RUNNING,
                         self.states.fetch(self.engine, UUID).power)
        self.follow()
        self.assertEqual(power_state.RUNNING, self.power())

    def test_learn(self):
        create(self.engine)
        self.engine.exit(NAME, oom=True)
        self.states.refresh(self.engine)
        self.assertEqual(power_state.SHUTDOWN, self.power())
        ended = state.of_inspect(self.engine.inspect_container(NAME))
        self.states.learn(UUID, ended)
        self.assertEqual(power_state.CRASHED, self.power())

    def test_learn_too_late(self):
        create(self.engine)
        self.engine.exit(NAME, oom=True)
        ended = state.of_inspect(self.engine.inspect_container(NAME))
        self.engine.start_container(NAME, 10)
        self.states.refresh(self.engine)
        self.states.learn(UUID, ended)
        self.assertEqual(power_state.RUNNING, self.power())
        self.states.learn(OTHER, ended)
        self.assertIsNone(self.states.get(OTHER))
