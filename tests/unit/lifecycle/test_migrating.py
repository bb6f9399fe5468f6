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

"""The record of a live migration, and what it keeps from being done."""

from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import migrating
from nova_docker.network import plans
from tests.unit.lifecycle import test_live_migration


class MigratingTest(test_live_migration.LiveTestCase):

    def settle(self, live):
        migrating.write(self.services, uuids.instance, live)
        self.compute.steps.clear()
        migrating.settle(self.services, uuids.instance)
        return [args for name, args in self.compute.steps
                if name == 'transfer_withdraw']

    def test_settle(self):
        for live, asked in (
                (migrating.Live('host1', 'host2'), []),
                (migrating.Live('host1', 'host2', True),
                 [('host2', uuids.instance)])):
            self.assertEqual(asked, self.settle(live))
            self.assertIsNone(migrating.read(self.services, uuids.instance))
        migrating.settle(self.services, uuids.instance)

    def test_settle_is_the_sources(self):
        self.at('host2')
        live = migrating.Live('host1', 'host2', True)
        self.assertEqual([], self.settle(live))
        self.assertEqual(live, migrating.read(self.services, uuids.instance))
        self.assertEqual([uuids.instance], migrating.instances(self.services))
        migrating.drop(self.services, uuids.instance)
        migrating.drop(self.services, uuids.instance)
        plans.remove(self.states['host2'], uuids.instance)

    def test_no_answer(self):
        live = migrating.Live('host1', 'host2', True)
        self.transfers.fail_next('withdraw', exception.MigrationError(
            reason='no answer'))
        self.assertRaises(exception.MigrationError, self.settle, live)
        self.assertEqual(live, migrating.read(self.services, uuids.instance))
