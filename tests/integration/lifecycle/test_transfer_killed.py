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

"""Each process that moves files gets SIGKILL in the middle of them.

Root's daemon is a process of its own here, which outlives nova-compute by what
it is at.
"""

import contextlib
import os
import signal
import unittest

import fixtures
from nova import exception
from oslo_privsep import priv_context

from nova_docker.network import process
from nova_docker import privsep
from nova_docker.privsep import archive
from nova_docker.transfer import outgoing
from nova_docker.transfer import spool
from tests.fixtures import processes
from tests.fixtures import starts
from tests.integration import killed
from tests.integration.lifecycle import base

#: Has tar stop in the middle of them, but not where it only measures.
_STOP = ('--checkpoint=600 --checkpoint-action=exec='
         "'test $TAR_ARCHIVE = - && kill -STOP $PPID'")
_FILL = 'dd if=/dev/urandom of=/large bs=1M count=8 && sync'
#: What a nova-compute ends with that can't do what it was asked for.
_FAILED = 3
#: What the commands of the others have in them.
_WORDS = {'tar': 'tar --', 'sender': 'transfer.sender',
          'receiver': 'transfer.receiver', 'unpacker': 'unpacker.py'}


class TransferTest(base.MovingTestCase):

    def setUp(self):
        super().setUp()
        self.assertTrue(self.succeeds(_FILL), self.said)

    @contextlib.contextmanager
    def at_work(self, verb):
        """With a nova-compute that is in the middle of files.

        :returns: its process, and that of tar, which is stopped
        """
        working = base.FORK.Process(target=self._work, args=(verb,))
        working.start()
        try:
            yield working, starts.wait_until(lambda: next(
                (pid for pid in processes.below(working.pid)
                 if processes.is_stopped(pid)), None))
        finally:
            working.kill()
            working.join()

    def _work(self, verb):
        archive._ENVIRONMENT['TAR_OPTIONS'] = _STOP
        privsep.moves_pctxt.set_client_mode(True)
        privsep.moves_pctxt.start(priv_context.Method.FORK)
        compute = self.start()
        try:
            verb(compute)
        except exception.NovaException:
            os._exit(_FAILED)
        os._exit(0)

    def kill(self, victim, computes):
        """Kill one.

        :param computes: by host, the processes of nova-computes
        :returns: what these have started
        """
        below = {pid: command for each in computes.values()
                 for pid, command in processes.below(each.pid).items()}
        pid = (computes[victim].pid if victim in computes else next(
            pid for pid, command in below.items()
            if _WORDS[victim] in command))
        os.kill(pid, signal.SIGKILL)
        return set(below)

    def assert_gone(self, pids):
        starts.wait_until(
            lambda: not any(process.start_time(pid) for pid in pids))

    def test_leave(self):
        for victim in 'tar', 'sender', 'receiver', self.source, self.target:
            self.is_at(self.source, self.small)
            with (self.beside(self.target) as there,
                  self.at_work(self.leave) as (here, tar)):
                begun = self.kill(
                    victim, {self.source: here, self.target: there})
                # It learns that nobody reads any more, unless it is killed.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(tar, signal.SIGCONT)
                here.join()
                if victim == self.source:
                    self.assertEqual(-signal.SIGKILL, here.exitcode)
                else:
                    self.assertEqual(_FAILED, here.exitcode, victim)
            self.assert_gone(begun)
            self.assertFalse(spool.complete(
                self.hosts[self.target].state_dir, self.instance.uuid))
            if victim == self.source:
                self.end_leave()
            self.restart(self.target)
            self.assert_only_at(self.source)

    def test_finish(self):
        for victim in 'tar', 'unpacker', self.target:
            self.left()
            self.is_at(self.target, self.large)
            with self.at_work(self.finish) as (here, _tar):
                begun = self.kill(victim, {self.target: here})
                here.join()
                self.assertEqual(
                    -signal.SIGKILL if victim == self.target else _FAILED,
                    here.exitcode, victim)
            self.assert_gone(begun)
            self.reset(self.target, self.large)
            self.swap()


@unittest.skipUnless(killed.LONG, killed.WHY)
class AheadTest(TransferTest):
    """Most of the files go while the server runs."""

    def setUp(self):
        self.useFixture(fixtures.MockPatchObject(
            outgoing, '_LARGE', 1 << 20))
        super().setUp()
