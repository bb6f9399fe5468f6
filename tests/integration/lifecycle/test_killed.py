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

"""nova-compute or dockerd gets SIGKILL in the middle of a cold migration.

Two engines are two hosts, with the loopback between them. Nova's part is done
by hand: what it has in its database, and what it asks for as a nova-compute
starts again, or when an administrator has reset the server.
"""

import contextlib
import multiprocessing
import os

import fixtures
from nova.compute import task_states
import nova.conf
from nova import context
from nova import exception
from nova import objects

from nova_docker.lifecycle import unconfirmed
from tests.fixtures import deaths
from tests.fixtures import dockerd
from tests.fixtures import transfers
from tests.integration import killed

CONF = nova.conf.CONF
_FORK = multiprocessing.get_context('fork')
#: What the server has changed, and what shows that it is whole.
CHANGE = ('echo kept > /kept && ln /kept /linked && chown 7:4000000 /kept && '
          'rm /etc/nsswitch.conf && mknod /pipe p && sync')
WHOLE = ('grep -q kept /kept && test /kept -ef /linked && test -p /pipe && '
         'test "$(stat -c %u:%g /kept)" = 7:4000000 && '
         '! test -e /etc/nsswitch.conf && test -e /etc/group')


class ColdTestCase(killed.KilledTestCase):
    """A server that goes from one host to the other one."""

    host = source = 'source'
    target = 'target'

    def setUp(self):
        super().setUp()
        CONF.set_override('my_ip', '127.0.0.1')
        self.addCleanup(CONF.clear_override, 'my_ip')
        self.instance.migration_context = transfers.migration_context()
        self.useFixture(transfers.Migration(lambda: self.migration))
        self.engines = {host: self.engine(host)
                        for host in (self.source, self.target)}
        self.states = {host: self.useFixture(fixtures.TempDir()).path
                       for host in self.engines}
        self.small, self.large = self.instance.flavor, self.flavor(128)
        self.at(self.source)
        self.compute(self.spawn)
        self.addCleanup(self.clean)
        self.assertTrue(self.succeeds(CHANGE))
        os.setxattr(self.inside('/kept'), b'user.note', b'a\0b')

    def engine(self, host):
        """That of a host."""
        return self.useFixture(dockerd.Dockerd())

    def clean(self):
        self.instance.task_state = task_states.DELETING
        for host in self.engines:
            self.at(host)
            self.compute(self.destroy)
            self.assert_nothing_at(host)

    @property
    def migration(self):
        return objects.Migration(source_compute=self.source,
                                 dest_compute=self.target,
                                 cross_cell_move=False)

    def at(self, host):
        """What follows is on this host."""
        self.host = host
        self.on(self.engines[host].url, self.states[host])

    def is_at(self, host, flavor, task_state=None):
        """What Nova has in its database; what follows is there."""
        self.instance.host = host
        self.instance.flavor = flavor
        self.instance.task_state = task_state
        self.at(host)

    @contextlib.contextmanager
    def beside(self, host):
        """With a nova-compute of this host, too."""
        ours, theirs = _FORK.Pipe()
        process = _FORK.Process(target=self._serve, args=(host, theirs))
        process.start()
        theirs.close()
        try:
            ours.recv()
            yield
        finally:
            ours.send('end')
            process.join()

    def _serve(self, host, parent):
        self.at(host)
        made = self.start()
        parent.send('ready')
        parent.recv()
        made.cleanup_host(host)

    def compute(self, work, number=None):
        """What needs the other host has one there."""
        with (self.beside(self.target)
              if work in (self.leave, self.bring_back)
              else contextlib.nullcontext()):
            return self.alone(work, number)

    def alone(self, work, number=None):
        return super().compute(work, number)

    # Nova's requests

    def leave(self, compute):
        self.disk_info = compute.migrate_disk_and_power_off(
            context.RequestContext(), self.instance, '127.0.0.2', self.large,
            self.network_info, {}, 1)

    def finish(self, compute):
        compute.finish_migration(
            context.RequestContext(), self.migration, self.instance, '{}',
            self.network_info, self.image_meta, True, {}, {}, True)

    def confirm(self, compute):
        compute.confirm_migration(context.RequestContext(), self.migration,
                                  self.instance, self.network_info)

    def bring_back(self, compute):
        compute.finish_revert_migration(
            context.RequestContext(), self.instance, self.network_info,
            self.migration, {}, True)

    def reboot(self, compute):
        compute.reboot(context.RequestContext(), self.instance,
                       self.network_info, 'HARD', {})

    # What has been done when a case begins

    def left(self):
        self.is_at(self.source, self.small)
        self.compute(self.leave)

    def finished(self):
        self.left()
        self.is_at(self.target, self.large)
        self.compute(self.finish)

    def gone_back(self):
        self.finished()
        self.is_at(self.target, self.large, task_states.RESIZE_REVERTING)
        self.compute(self.destroy)

    # What must be so after it

    def inside(self, path):
        state = self.by_hand.inspect_container(self.name)['State']
        return f'/proc/{state["Pid"]}/root{path}'

    def assert_whole_at(self, host):
        self.at(host)
        self.assertTrue(self.succeeds(WHOLE))
        self.assertEqual(b'a\0b', os.getxattr(
            self.inside('/kept'), b'user.note'))
        container, = self.by_hand.containers(all=True)
        self.assertEqual([f'/{self.name}'], container['Names'])

    def assert_nothing_at(self, host):
        self.at(host)
        self.assertEqual([], self.by_hand.containers(all=True))
        for folder in 'instances', 'disks', 'transfers':
            with contextlib.suppress(FileNotFoundError):
                self.assertEqual([], os.listdir(os.path.join(
                    self.state_dir, folder)))
        self.assertEqual(set(), unconfirmed.instances(self.state_dir))
        self.assertEqual([], os.listdir(self.cdi_dir))
        with open('/proc/self/mounts') as mounts:
            self.assertNotIn(self.state_dir, mounts.read())

    def reset(self, host, flavor):
        """Let an administrator reset it: it is there, and nowhere else."""
        self.is_at(host, flavor)
        self.compute(self.reboot)
        self.assert_whole_at(host)
        other, = set(self.engines) - {host}
        self.at(other)
        # Nova-compute removes what it has when it starts.
        self.compute(lambda compute: None)
        self.assert_nothing_at(other)

    def swap(self):
        """The next migration goes the other way."""
        self.source, self.target = self.target, self.source


class NovaComputeTest(ColdTestCase):

    every = 1 if killed.LONG else 8

    def end_leave(self):
        """What Nova does as nova-compute starts again."""
        self.is_at(self.source, self.small, task_states.RESIZE_MIGRATING)
        self.compute(self.bring_back)

    def test_leave(self):
        for _killed in self.kills(self.leave):
            self.end_leave()
            self.assert_whole_at(self.source)
            self.assert_nothing_at(self.target)
            self.is_at(self.source, self.small)

    def test_finish(self):
        self.left()
        self.is_at(self.target, self.large)
        for _killed in self.kills(self.finish):
            self.reset(self.target, self.large)
            self.swap()
            self.left()
            self.is_at(self.target, self.large)
        self.assert_whole_at(self.target)

    def test_confirm(self):
        self.finished()
        self.at(self.source)
        for _killed in self.kills(self.confirm):
            self.reset(self.target, self.large)
            self.swap()
            self.finished()
            self.at(self.source)
        self.assert_whole_at(self.target)
        self.assert_nothing_at(self.source)

    def test_go_back(self):
        self.finished()
        self.instance.task_state = task_states.RESIZE_REVERTING
        for _killed in self.kills(self.destroy):
            self.reset(self.target, self.large)
            self.swap()
            self.finished()
            self.instance.task_state = task_states.RESIZE_REVERTING
        self.reset(self.target, self.large)

    def test_bring_back(self):
        self.gone_back()
        self.is_at(self.source, self.small, task_states.RESIZE_REVERTING)
        for _killed in self.kills(self.bring_back):
            self.reset(self.source, self.small)
            self.gone_back()
            self.is_at(self.source, self.small, task_states.RESIZE_REVERTING)
        self.assert_whole_at(self.source)


class DockerdTest(NovaComputeTest):
    """The engine of the host on which something is done is killed."""

    every = 1 if killed.LONG else 24

    def setUp(self):
        self.failed = _FORK.Value('b', False)
        super().setUp()

    def alone(self, work, number=None):
        if number is None:
            return super().alone(work)
        self.failed.value = False

        def fails(compute):
            try:
                work(compute)
            except exception.NovaException:
                self.failed.value = True
        engine = self.engines[self.host]
        if deaths.survives(number, self.start, fails, engine.kill):
            return True
        engine.start()
        return False

    def end_leave(self):
        """Nova rolls it back, or goes on; an administrator reboots it."""
        if self.failed.value:
            self.is_at(self.source, self.small)
            self.compute(self.reboot)
        else:
            self.reset(self.target, self.large)
            self.swap()
