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

"""Live migration: what becomes of it at the host that an instance goes to.

With the other host: test_live_migration.py.
"""

from nova.compute import task_states
from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from tests.unit.lifecycle import test_live_migration


class WithdrawTest(test_live_migration.LiveTestCase):

    def test_for_good(self):
        self.migrate()
        self.at('host2')
        self.assertRaises(
            exception.MigrationError,
            self.services.transfers._answers.withdraw, uuids.instance)
        self.roll_back_there()
        self.assert_runs_at('host2')

    def test_nothing_expected(self):
        with self.answering('host2') as answers:
            self.assertRaises(exception.InstanceNotFound, answers.restore,
                              uuids.instance)
            answers.withdraw(uuids.instance)
        with self.answering('host1') as answers:
            self.assertRaises(exception.MigrationError, answers.restore,
                              uuids.instance)
        self.assert_runs_at('host1')

    def test_checkpoint_stays(self):
        self.engines['host2'].fail_next('remove_checkpoint',
                                        test_live_migration.BROKEN)
        self.migrate()
        self.at('host2')
        self.assertEqual('running', self.state)
        self.assertEqual('done', self.outcome)


class OverTest(test_live_migration.LiveTestCase):
    """What is there of one when its other host does not say what became."""

    def test_at_the_target(self):
        self.prepare()
        self.restart()
        self.assertEqual([test_live_migration.OWN], list(self.containers()))
        self.instance.task_state = None
        self.driver.manage_image_cache(self.context, [])
        self.assert_runs_at('host1')

    def test_evacuated_here(self):
        """The other host died, and a container of it is being made here."""
        self.prepare()
        self.instance.task_state = task_states.REBUILD_SPAWNING
        self.driver.manage_image_cache(self.context, [])
        self.assertEqual([test_live_migration.OWN], list(self.containers()))

    def test_deleted(self):
        self.prepare()
        self.get.side_effect = exception.InstanceNotFound(
            instance_id=uuids.instance)
        self.restart()
        self.assert_nothing_at('host2')

    def test_nova_is_away(self):
        self.prepare()
        self.get.side_effect = exception.NovaException('no database')
        self.restart()
        self.assertEqual([test_live_migration.OWN], list(self.containers()))
