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

import socket
from unittest import mock

import fixtures
from nova import conf
from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.console import rfb
from nova_docker.engine import errors
from nova_docker import exception as driver_exception
from nova_docker.lifecycle import console
from nova_docker.privsep import terminal as privileged
from nova_docker.spec import names
from tests import engine_cases
from tests.fixtures import consoles
from tests.fixtures import tls
from tests.unit.lifecycle import base


class ConsoleTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.flags(group='serial_console', enabled=True)
        self.driver.init_host('host1')

    def boot(self, **properties):
        self.instance.system_metadata.update({
            f'image_docker_{name}': value
            for name, value in properties.items()})
        self.spawn()

    def serial(self):
        return self.driver.get_serial_console(self.context, self.instance)

    def vnc(self):
        return self.driver.get_vnc_console(self.context, self.instance)

    def connect(self, found):
        client = consoles.SerialClient((found.host, found.port))
        self.addCleanup(client.close)
        return client


class ConsoleTest(ConsoleTestCase):

    def test_serial(self):
        self.boot(tty='true')
        self.engine.write_log(self.container['Id'], b'early\r\n')
        found = self.serial()
        self.assertEqual(('127.0.0.1', None),
                         (found.host, found.internal_access_path))
        self.assertEqual(found.port, self.serial().port)
        client = self.connect(found)
        client.wait_for(b'early')
        client.send(b'hello')
        client.wait_for(b'hello')

    def test_vnc(self):
        self.boot(tty='true')
        self.flags(group='vnc', server_proxyclient_address='192.0.2.7')
        self.driver.init_host('host1')
        found = self.vnc()
        self.assertEqual('192.0.2.7', found.host)
        client = consoles.VncClient(('127.0.0.1', found.port))
        self.addCleanup(client.close)
        client.type('hello')
        client.wait_for('hello')

    def test_over_a_reboot(self):
        self.boot(tty='true')
        client = self.connect(self.serial())
        client.send(b'one')
        client.wait_for(b'one')
        self.reboot()
        self.engine.write_log(self.container['Id'], b'two')
        client.wait_for(b'two')

    def test_over_a_rescue(self):
        self.boot(tty='true')
        port = self.serial().port
        client = self.connect(self.serial())
        client.send(b'one')
        client.wait_for(b'one')
        self.driver.rescue(
            self.context, self.instance, self.network_info, self.image_meta,
            None, None, None)
        self.assertEqual(port, self.serial().port)
        rescue = names.rescue_name(uuids.instance)
        self.engine.write_log(rescue, b'two')
        client.wait_for(b'two')
        self.driver.unrescue(self.context, self.instance)
        self.engine.write_log(self.container['Id'], b'three')
        client.wait_for(b'three')

    def test_over_a_restart_of_the_service(self):
        self.boot(tty='true')
        port = self.serial().port
        self.driver.init_host('host1')
        client = consoles.SerialClient(('127.0.0.1', port))
        self.addCleanup(client.close)
        client.send(b'hello')
        client.wait_for(b'hello')
        self.assertEqual(port, self.serial().port)

    def test_destroyed(self):
        self.boot(tty='true')
        found = self.serial()
        client = self.connect(found)
        client.send(b'hello')
        client.wait_for(b'hello')
        self.destroy()
        self.assertRaises(AssertionError, client.wait_for, b'never')
        self.assertRaises(OSError, socket.create_connection,
                          (found.host, found.port))
        self.assertRaises(exception.InstanceNotFound, self.serial)
        self.assertEqual(set(), self.services.consoles.ports.instances())
        self.spawn()
        self.assertNotEqual(found.port, self.serial().port)

    def test_destroyed_while_nobody_looked(self):
        self.boot(tty='true')
        self.serial()
        self.engine.remove_container(self.container['Id'])
        self.driver.init_host('host1')
        self.assertEqual(set(), self.services.consoles.ports.instances())

    def test_none(self):
        self.boot()
        for found in (self.serial, self.vnc):
            self.assertRaises(exception.ConsoleTypeUnavailable, found)
        self.assertEqual(set(), self.services.consoles.ports.instances())

    def test_that_are_not_offered(self):
        self.boot(tty='true')
        addresses = [('127.0.0.1', found().port)
                     for found in (self.serial, self.vnc)]
        for group in ('serial_console', 'vnc'):
            self.flags(group=group, enabled=False)
        self.driver.init_host('host1')
        for found in (self.serial, self.vnc):
            self.assertRaises(exception.ConsoleTypeUnavailable, found)
        for address in addresses:
            self.assertRaises(OSError, socket.create_connection, address)

    def test_no_serial_port(self):
        self.boot(tty='true')
        self.serial()
        for where, key in (
                (self.instance.flavor.extra_specs, 'hw:serial_port_count'),
                (self.instance.system_metadata,
                 'image_hw_serial_port_count')):
            where[key] = '0'
            self.assertRaises(exception.ConsoleTypeUnavailable, self.serial)
            self.vnc()
            where[key] = '1'
        self.serial()

    def test_no_port(self):
        taken = self.useFixture(Taken())
        self.flags(group='docker', vnc_ports=taken.range)
        self.driver.init_host('host1')
        self.boot(tty='true')
        self.assertRaises(exception.ConsoleTypeUnavailable, self.vnc)

    def test_malformed_command(self):
        self.assertRaises(exception.ImageUnacceptable, self.boot,
                          console='"')


class ExecTest(ConsoleTestCase):

    def setUp(self):
        super().setUp()
        self.hung_up = self.useFixture(fixtures.MockPatchObject(
            privileged, 'hang_up', autospec=True)).mock

    def executed(self):
        return [args[1] for name, args in list(self.compute.steps)
                if name == 'exec_container']

    def test_command(self):
        self.boot(console='/bin/sh -l')
        one = self.connect(self.serial())
        one.send(b'hello')
        one.wait_for(b'hello')
        two = self.connect(self.serial())
        two.wait_for(b'hello')
        self.assertEqual([['/bin/sh', '-l']], self.executed())
        one.close()
        two.close()
        engine_cases.wait_until(lambda: self.hung_up.called)
        (pid, container), _ = self.hung_up.call_args
        self.assertGreater(pid, 0)
        self.assertEqual(self.container['Id'], container)

    def test_it_wins_over_the_terminal(self):
        self.boot(console='sh', tty='true')
        client = self.connect(self.serial())
        client.send(b'hello')
        client.wait_for(b'hello')
        self.assertEqual([['sh']], self.executed())

    def test_ended_by_now(self):
        self.boot(console='sh')
        terminal, before = console.open_terminal(self.services,
                                                 uuids.instance)
        self.assertEqual(b'', before)
        for error in (ProcessLookupError, FileNotFoundError):
            self.hung_up.side_effect = error
            console.close_terminal(terminal)
            self.assertTrue(terminal.is_closed)

    def test_engine_that_is_away(self):
        self.boot(console='sh')
        terminal, _ = console.open_terminal(self.services, uuids.instance)
        terminal.process = lambda: (_ for _ in ()).throw(
            errors.Unavailable('gone'))
        console.close_terminal(terminal)
        self.assertTrue(terminal.is_closed)


class TerminalTest(ConsoleTestCase):

    def test_not_running(self):
        self.boot(tty='true')
        self.power_off()
        self.assertIsNone(console.open_terminal(
            self.services, uuids.instance))
        self.power_on()
        self.driver.pause(self.instance)
        self.assertIsNone(console.open_terminal(
            self.services, uuids.instance))

    def test_no_instance(self):
        self.assertIsNone(console.open_terminal(self.services, uuids.other))

    def test_log_that_can_not_be_read(self):
        self.boot(tty='true')
        self.engine.fail_next('container_logs', errors.ServerError('x', 500))
        self.assertRaises(errors.ServerError, console.open_terminal,
                          self.services, uuids.instance)


class OptionsTest(ConsoleTestCase):

    def options(self, **flags):
        for group, values in flags.items():
            self.flags(group=group, **values)
        return console.options(conf.CONF)

    def test_defaults(self):
        found = self.options()
        self.assertEqual((rfb.NONE,), found.security)
        self.assertIsNone(found.context)
        self.assertEqual(range(10000, 20000), found.serial.ports)
        self.assertEqual([5900, 6899], [found.vnc.ports[0],
                                        found.vnc.ports[-1]])
        self.assertEqual(600, found.token_ttl)

    def test_no_ports(self):
        for value in ('9:8', '0:5', '9:99999'):
            self.assertRaises(
                driver_exception.HostUnusable, self.options,
                serial_console={'port_range': value})
        self.assertFalse(self.options(
            serial_console={'enabled': False}).serial.is_offered)

    def test_on_all_addresses(self):
        with mock.patch.object(console.LOG, 'warning', autospec=True) as log:
            self.options(vnc={'server_listen': '192.0.2.1'})
            log.assert_not_called()
            self.options(vnc={'server_listen': '0.0.0.0'})
            log.assert_called_once_with(mock.ANY, 'vnc')
            self.options(vnc={'enabled': False})
            log.assert_called_once()

    def test_vencrypt(self):
        authority = self.useFixture(tls.Authority())
        certificate, key = authority.issue('server')
        found = self.options(
            vnc={'auth_schemes': ['vencrypt', 'none']}, docker={
                'vnc_tls_cert_file': certificate, 'vnc_tls_key_file': key,
                'vnc_tls_ca_file': authority.ca_file})
        self.assertEqual((rfb.VENCRYPT, rfb.NONE), found.security)
        self.assertIsNotNone(found.context)

    def test_vencrypt_without_a_certificate(self):
        self.assertRaises(driver_exception.HostUnusable, self.options,
                          vnc={'auth_schemes': ['vencrypt']})
        self.assertRaises(
            driver_exception.HostUnusable, self.options,
            docker={'vnc_tls_cert_file': '/nowhere',
                    'vnc_tls_key_file': '/nowhere'})
        self.assertIsNone(self.options(vnc={'enabled': False}).context)


class Taken(fixtures.Fixture):
    """A range of one port, which somebody else has."""

    def _setUp(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(lambda: self.listener.close())
        number = self.listener.getsockname()[1]
        self.range = f'{number}-{number}'
