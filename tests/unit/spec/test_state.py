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


from nova.compute import power_state
from nova.virt import event as virtevent
from oslotest import base

from nova_docker.spec import names
from nova_docker.spec import state

UUID = 'a7f4e5a2-94a5-4c3e-8f3c-0d7b3f3c2f0e'


def event(action, container='id1', **attributes):
    return {'Type': 'container', 'Action': action,
            'Actor': {'ID': container, 'Attributes': {
                names.LABEL_INSTANCE: UUID, 'name': 'nova-x', **attributes}}}


def follow(*events, start=None):
    for one in events:
        start = state.after(start, one)
    return start


class OfTest(base.BaseTestCase):

    def summary(self, status):
        return {'Id': 'id1', 'Names': ['/nova-x'], 'State': status,
                'Labels': {names.LABEL_INSTANCE: UUID}}

    def inspect(self, status, **run):
        return {'Id': 'id1', 'Name': '/nova-x',
                'State': {'Status': status, **run}}

    def test_list_entry(self):
        self.assertEqual(
            state.State('id1', 'nova-x', power_state.RUNNING),
            state.of_container(self.summary('running')))

    def test_power_of_each_engine_state(self):
        for status, power in (('created', power_state.SHUTDOWN),
                              ('running', power_state.RUNNING),
                              ('restarting', power_state.RUNNING),
                              ('paused', power_state.PAUSED),
                              ('removing', power_state.SHUTDOWN),
                              ('exited', power_state.SHUTDOWN),
                              ('dead', power_state.CRASHED),
                              ('news-to-us', power_state.NOSTATE)):
            self.assertEqual(
                power, state.of_container(self.summary(status)).power, status)
            self.assertEqual(
                power, state.of_inspect(self.inspect(status)).power, status)

    def test_inspect_tells_of_lack_of_memory(self):
        ended = state.of_inspect(
            self.inspect('exited', OOMKilled=True, ExitCode=137))
        self.assertTrue(ended.crashed)
        self.assertEqual(power_state.SHUTDOWN, ended.power)
        self.assertEqual(power_state.CRASHED, state.settled(ended).power)

    def test_child_killed_for_lack_of_memory_is_no_crash(self):
        ended = state.of_inspect(
            self.inspect('exited', OOMKilled=True, ExitCode=0))
        self.assertFalse(ended.crashed)
        self.assertEqual(ended, state.settled(ended))

    def test_running_is_no_crash(self):
        self.assertFalse(state.of_inspect(
            self.inspect('running', OOMKilled=True, ExitCode=137)).crashed)

    def test_instance(self):
        self.assertEqual(UUID, state.instance(self.summary('running')))
        self.assertEqual(UUID, state.instance(event('start')))
        self.assertIsNone(state.instance({'Labels': None}))
        self.assertIsNone(state.instance(
            {'Actor': {'ID': 'x', 'Attributes': {'name': 'other'}}}))


class AfterTest(base.BaseTestCase):

    def test_life(self):
        powers = []
        now = None
        for action in ('create', 'start', 'pause', 'unpause', 'die'):
            now = state.after(now, event(action))
            powers.append(now.power)
        self.assertEqual(
            [power_state.SHUTDOWN, power_state.RUNNING, power_state.PAUSED,
             power_state.RUNNING, power_state.SHUTDOWN], powers)
        self.assertIsNone(state.after(now, event('destroy')))

    def test_exit_code(self):
        self.assertEqual(
            3, follow(event('start'), event('die', exitCode='3')).exit_code)

    def test_out_of_memory(self):
        ended = follow(event('start'), event('oom'),
                       event('die', exitCode='137'))
        self.assertTrue(ended.crashed)
        # Not before Nova was told: it stops the server only of SHUTDOWN.
        self.assertEqual(power_state.SHUTDOWN, ended.power)

    def test_out_of_memory_told_late(self):
        self.assertTrue(follow(event('start'), event('die', exitCode='137'),
                               event('oom')).crashed)

    def test_killed_on_demand_after_a_child_ran_out_of_memory(self):
        self.assertFalse(follow(
            event('start'), event('oom'), event('kill', signal='9'),
            event('die', exitCode='137')).crashed)

    def test_other_signal_does_not_end_it(self):
        self.assertTrue(follow(
            event('start'), event('kill', signal='1'), event('oom'),
            event('kill', signal='10'), event('die', exitCode='137')).crashed)

    def test_start_forgets_the_last_end(self):
        now = follow(event('start'), event('oom'),
                     event('die', exitCode='137'), event('start'))
        self.assertEqual(
            state.State('id1', 'nova-x', power_state.RUNNING), now)

    def test_rename(self):
        self.assertEqual('nova-y', follow(
            event('create'), event('rename', name='nova-y')).name)

    def test_unknown_action_changes_nothing(self):
        now = follow(event('start'))
        self.assertEqual(now, state.after(now, event('resize')))

    def test_old_container_ends_after_the_new_one_was_created(self):
        now = follow(event('start'), event('create', 'id2'))
        self.assertEqual('id2', now.container)
        self.assertEqual(now, follow(event('die'), event('destroy'),
                                     start=now))

    def test_end_of_unknown_container(self):
        self.assertIsNone(follow(event('die'), event('destroy')))


class TransitionTest(base.BaseTestCase):

    def state(self, power):
        return None if power is None else state.State('id1', 'x', power)

    def test_transitions(self):
        started = virtevent.EVENT_LIFECYCLE_STARTED
        stopped = virtevent.EVENT_LIFECYCLE_STOPPED
        for old, new, expected in (
                (None, power_state.SHUTDOWN, None),
                (None, power_state.RUNNING, started),
                (power_state.SHUTDOWN, power_state.RUNNING, started),
                (power_state.CRASHED, power_state.RUNNING, started),
                (power_state.RUNNING, power_state.SHUTDOWN, stopped),
                (power_state.PAUSED, power_state.SHUTDOWN, stopped),
                (power_state.RUNNING, power_state.CRASHED, stopped),
                (power_state.RUNNING, power_state.PAUSED,
                 virtevent.EVENT_LIFECYCLE_PAUSED),
                (power_state.PAUSED, power_state.RUNNING,
                 virtevent.EVENT_LIFECYCLE_RESUMED),
                (power_state.SHUTDOWN, power_state.CRASHED, None),
                (power_state.CRASHED, power_state.SHUTDOWN, None),
                (power_state.RUNNING, power_state.RUNNING, None),
                (power_state.RUNNING, power_state.NOSTATE, None),
                (power_state.RUNNING, None, None)):
            self.assertEqual(
                expected,
                state.transition(self.state(old), self.state(new)),
                (old, new))
