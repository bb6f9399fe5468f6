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

"""Moves of servers whose image is not to be had where they go to."""

import shutil
from unittest import mock

import fixtures
from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import carried
from nova_docker.lifecycle import create
from nova_docker.spec import names
from tests.fixtures import archives
from tests.unit.lifecycle import test_cold
from tests.unit.lifecycle import test_live_migration

OF_GLANCE, CARRIED = names.base_references(
    names.image_reference(uuids.image, 'aa'))


def unshelve(instance):
    """Do what Nova does at the end: it is of another image than it says."""
    instance.image_ref = uuids.first


class CarriedTestCase(test_cold.ColdTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.old = self.container['Id']

    def sent(self):
        """The files that went to the other host as they are."""
        return [arguments[1] for name, arguments in self.compute.steps
                if name == 'transfer_send_file']

    def assert_moves_with(self, *files, image=CARRIED):
        self.leave()
        self.finish()
        self.assertEqual([*files], self.sent())
        self.assertEqual(image, self.container['Image'])
        self.assertEqual('running', self.state)

    def assert_refused(self, words):
        super().assert_refused(words, dest='192.0.2.2')
        self.assertNotIn('stop_container', self.steps())
        self.assertEqual([], self.engines['host2'].list_images(
            [f'{names.CARRIED_REPOSITORY}/*']))
        self.assert_nothing_at('host2')
        self.at('host1')

    def glance_fails(self, error):
        def fail(*_args, **_kwargs):
            raise error
        self.glance.get = self.glance.download = fail


class CarriedTest(CarriedTestCase):

    def test_unshelved(self):
        unshelve(self.instance)
        self.assert_moves_with('image')
        self.confirm()
        self.destroy()
        self.assert_nothing_left()

    def test_reverted(self):
        unshelve(self.instance)
        self.assert_moves_with('image')
        self.revert()
        self.assert_as_it_was()

    def test_deleted_and_deactivated(self):
        for error in (exception.ImageNotFound(image_id=uuids.image),
                      exception.ImageNotAuthorized(image_id=uuids.image)):
            self.glance_fails(error)
            self.assert_moves_with('image')
            self.revert()
            self.engines['host2'].remove_image(CARRIED)
            self.compute.steps.clear()

    def test_glance_has_it(self):
        self.assert_moves_with(image=OF_GLANCE)

    def test_there_already(self):
        """As another server of it, or this one, was there."""
        unshelve(self.instance)
        for reference in CARRIED, OF_GLANCE:
            self.engines['host2'].load_image([archives.docker25(
                [archives.layer((reference, b'x'))], tags=[reference])])
            self.assert_moves_with(image=reference)
            self.revert()
            self.compute.steps.clear()

    def test_goes_on_to_others(self):
        """It is of one that was sent, and so it is called everywhere."""
        unshelve(self.instance)
        self.assert_moves_with('image')
        found = create.ensure_base(self.services, self.context, self.instance,
                                   self.container['Image'], 1)
        self.assertEqual(CARRIED, found.reference)

    def test_another_one_than_glance_has_now(self):
        """As where a tag in a registry has moved."""
        with mock.patch.object(
                create, 'ensure_image', autospec=True,
                return_value=mock.Mock(reference='another')):
            self.assert_moves_with('image')

    def test_too_large_for_its_disk(self):
        """Whether it is there or has to go."""
        self.useFixture(fixtures.MockPatch('oslo_utils.units.Gi', 1))
        self.assert_refused('too small for requested image')
        self.assertEqual([], self.sent())
        unshelve(self.instance)
        self.assert_refused('too small for requested image')

    def test_not_acceptable_there(self):
        unshelve(self.instance)
        self.engines['host2'].fail_next('load_image', errors.BadRequest(
            'invalid tar header', 400))
        self.assert_refused('invalid tar header')

    def test_it_does_not_answer(self):
        unshelve(self.instance)
        self.transfers.fail_next('load_image', exception.MigrationError(
            reason='does not answer'))
        self.assert_refused('does not answer')

    def test_does_not_stay_where_it_came(self):
        unshelve(self.instance)
        carried.give(self.services, self.context, 'host2', uuids.instance,
                     self.container, 1)
        self.assertEqual(['image'], self.sent())
        self.assert_nothing_at('host2')

    def test_does_not_get_there(self):
        unshelve(self.instance)
        self.transfers.fail_next('send_file', exception.MigrationError(
            reason='no space on the other host'))
        self.assert_refused('no space on the other host')

    def test_engine_does_not_give_it(self):
        unshelve(self.instance)
        self.engine.fail_next('save_image', errors.ServerError('no', 500))
        self.assert_refused('no')

    def test_no_space(self):
        unshelve(self.instance)
        with mock.patch.object(shutil, 'disk_usage', autospec=True,
                               return_value=mock.Mock(free=1)):
            self.assert_refused('has to go along')

    def test_rebooted_with_files_but_without_their_image(self):
        """It must not get another one."""
        unshelve(self.instance)
        self.leave()
        self.at('host2')
        self.engine.remove_image(CARRIED)
        self.assertRaises(exception.NovaException, self.reboot)
        self.assertEqual({}, self.containers())


class KilledTest(test_cold.KilledTest):
    """Of an instance that was unshelved."""

    def spawned(self):
        super().spawned()
        unshelve(self.instance)

    def again(self):
        self.instance.image_ref = uuids.image
        super().again()

    def assert_whole(self):
        super().assert_whole()
        self.assertEqual(CARRIED, self.container['Image'])


class LiveTest(test_live_migration.LiveTestCase):

    def test_unshelved(self):
        unshelve(self.instance)
        self.migrate()
        self.assert_runs_at('host2')
        self.assertEqual(CARRIED, self.container['Image'])

    def test_can_not_be_had(self):
        unshelve(self.instance)
        self.engine.fail_next('save_image', errors.ServerError('no', 500))
        self.assertRaises(exception.NovaException, self.prepare)
        self.roll_back_there()
        self.instance.task_state = None
        self.assert_runs_at('host1')
