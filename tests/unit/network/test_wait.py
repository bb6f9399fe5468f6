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
from unittest import mock

from nova import exception
from nova import test
from nova.virt import virtapi

from nova_docker.network import wait

VIFS = [{'id': 'down', 'active': False, 'type': 'ovs'},
        {'id': 'up', 'active': True, 'type': 'ovs'},
        {'id': 'unknown', 'type': 'ovs'},
        # No agent tells of it.
        {'id': 'function', 'active': False, 'type': 'hw_veb'}]


class VifPluggedTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.virtapi = mock.create_autospec(virtapi.VirtAPI, instance=True)
        self.instance = mock.Mock(uuid='u')
        self.log = []

    def _wait(self, behaviour=None, network_info=VIFS):
        @contextlib.contextmanager
        def wait_for_instance_event(instance, events, timeout,
                                    error_callback):
            self.log.append(('prepared', events, timeout))
            yield
            if behaviour:
                behaviour(error_callback)
            self.log.append('waited')

        self.virtapi.wait_for_instance_event.side_effect = (
            wait_for_instance_event)
        with wait.vif_plugged(self.virtapi, self.instance, network_info):
            self.log.append('plugged')

    @staticmethod
    def _time_out(error_callback):
        raise exception.InstanceEventTimeout()

    @staticmethod
    def _fail(error_callback):
        error_callback('network-vif-plugged-down', mock.Mock(uuid='u'))

    def test_waits_for_ports_that_are_down(self):
        self.flags(vif_plugging_timeout=7)
        self._wait()
        self.assertEqual(
            [('prepared', [('network-vif-plugged', 'down')], 7), 'plugged',
             'waited'], self.log)

    def test_no_timeout_is_no_wait(self):
        self.flags(vif_plugging_timeout=0)
        self._wait()
        self.assertEqual(('prepared', [], 0), self.log[0])

    def test_timeout_is_fatal(self):
        self.assertRaises(exception.VirtualInterfaceCreateException,
                          self._wait, self._time_out)

    def test_timeout_is_not_fatal(self):
        self.flags(vif_plugging_is_fatal=False)
        self._wait(self._time_out)
        self.assertIn('did not report the ports', self.stdlog.logger.output)

    def test_failure_is_fatal(self):
        self.assertRaises(exception.VirtualInterfaceCreateException,
                          self._wait, self._fail)

    def test_failure_is_not_fatal(self):
        self.flags(vif_plugging_is_fatal=False)
        self._wait(self._fail)
        self.assertIn('waited', self.log)

    def test_what_the_body_raises_is_not_touched(self):
        self.virtapi.wait_for_instance_event.return_value = (
            contextlib.nullcontext())

        def body():
            with wait.vif_plugged(self.virtapi, self.instance, VIFS):
                raise exception.ImageNotFound(image_id='x')

        self.assertRaises(exception.ImageNotFound, body)
