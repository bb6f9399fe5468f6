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

"""get_serial_console and get_vnc_console, and the terminals behind them."""

import contextlib
import ssl
import typing

from nova.console import type as console_type
from nova import exception
from nova.i18n import _
from oslo_log import log as logging

from nova_docker.console import hub
from nova_docker.console import ports
from nova_docker.console import replay
from nova_docker.console import rfb
from nova_docker.console import server
from nova_docker.console import tls
from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker import exception as driver_exception
from nova_docker.lifecycle import base
from nova_docker.privsep import terminal as privileged
from nova_docker.spec import console

LOG = logging.getLogger(__name__)

#: The types of security that Nova calls by these names.
_SECURITY = {'none': rfb.NONE, 'vencrypt': rfb.VENCRYPT}

_EVERYWHERE = ('0.0.0.0', '::')

#: Bytes of a new terminal that are read before it is handed over.
_READ = 1 << 16


def options(conf: typing.Any) -> server.Options:
    """How the consoles of this host are reached.

    :param conf: nova.conf.CONF
    :raises nova_docker.exception.HostUnusable: it has no ports, or no
        certificate, for those that it offers
    """
    serial, vnc, docker = conf.serial_console, conf.vnc, conf.docker
    security = tuple(_SECURITY[name] for name in vnc.auth_schemes)
    first, end = map(int, serial.port_range.split(':'))
    if serial.enabled and not 0 < first < end <= 1 << 16:
        raise driver_exception.HostUnusable(
            reason=_('[serial_console]port_range %s has no ports'
                     ) % serial.port_range)
    made = server.Options(
        serial=ports.Place(
            'serial', serial.proxyclient_address, serial.proxyclient_address,
            range(first, end), serial.enabled),
        vnc=ports.Place(
            'vnc', vnc.server_listen, vnc.server_proxyclient_address,
            docker.vnc_ports, vnc.enabled),
        security=security,
        context=_context(docker) if (
            vnc.enabled and rfb.VENCRYPT in security) else None,
        token_ttl=conf.consoleauth.token_ttl)
    for place in (made.serial, made.vnc):
        if place.is_offered and place.listen in _EVERYWHERE:
            LOG.warning('The %s consoles of this host listen on all of its '
                        'addresses. Whoever reaches one of these is on them',
                        place.kind)
    return made


def _context(docker: typing.Any) -> ssl.SSLContext:
    """What TLS needs, by the options of this host."""
    files = (docker.vnc_tls_cert_file, docker.vnc_tls_key_file)
    try:
        if None in files:
            raise FileNotFoundError('they are not set')
        return tls.context(*files, docker.vnc_tls_ca_file)
    except OSError as error:
        raise driver_exception.HostUnusable(reason=_(
            '[vnc]auth_schemes has vencrypt and [docker]vnc_tls_cert_file or '
            'vnc_tls_key_file can not be used: %s') % error) from error


def get_serial_console(services: base.Services, instance: typing.Any
                       ) -> console_type.ConsoleSerial:
    """Where nova-serialproxy finds the instance's console.

    Source: nova.virt.driver.ComputeDriver.get_serial_console.

    :raises nova.exception.InstanceNotFound: there is no container
    :raises nova.exception.ConsoleTypeUnavailable: it has no console, or there
        is no port for it, or the operator offers none
    """
    return console_type.ConsoleSerial(*_listen(services, instance, 'serial'))


def get_vnc_console(services: base.Services, instance: typing.Any
                    ) -> console_type.ConsoleVNC:
    """Where nova-novncproxy finds the instance's console.

    Source: nova.virt.driver.ComputeDriver.get_vnc_console; errors as of
    :func:`get_serial_console`.
    """
    return console_type.ConsoleVNC(*_listen(services, instance, 'vnc'))


def _listen(services: base.Services, instance: typing.Any,
            kind: str) -> tuple[str, int]:
    container = base.get(services, instance.uuid)
    # Nova asks, too, for one that is no longer offered, but has tokens.
    if not services.consoles.offers(kind) or (
            kind == 'serial' and not _has_serial_port(instance)):
        raise exception.ConsoleTypeUnavailable(console_type=kind)
    if console.command(container['Labels']) is None:
        LOG.info('The image gives the instance neither a terminal (docker_tty)'
                 ' nor a command for its console (docker_console)',
                 instance=instance)
        raise exception.ConsoleTypeUnavailable(console_type=kind)
    try:
        return services.consoles.listen(instance.uuid, kind)
    except exception.SocketPortRangeExhaustedException as error:
        # The API knows it of one kind of console only.
        LOG.error(error.format_message(), instance=instance)
        raise exception.ConsoleTypeUnavailable(console_type=kind) from error


def _has_serial_port(instance: typing.Any) -> bool:
    """Whether neither the flavor nor the image wants none."""
    return 0 not in (
        int(instance.flavor.extra_specs.get('hw:serial_port_count', 1)),
        instance.image_meta.properties.get('hw_serial_port_count'))


def open_terminal(services: base.Services,
                  instance_uuid: str) -> hub.Opened | None:
    """The terminal of an instance and what it has shown before.

    :returns: None when the instance does not run
    :raises nova_docker.engine.errors.EngineError: it has just ended
    """
    container = base.find(services, instance_uuid)
    command = console.command(container['Labels']) if container else None
    if container is None or command is None or (
            container['State'] != 'running'):
        return None
    if command:
        return services.engine.exec_container(container['Id'], command), b''
    with contextlib.ExitStack() as undo:
        terminal = services.engine.attach_container(container['Id'])
        undo.callback(terminal.close)
        log = services.engine.container_logs(container['Id'], hub.HISTORY)
        live = terminal.recv(_READ) or b''
        undo.pop_all()
    return terminal, replay.joined(log, live)


def close_terminal(terminal: client.Terminal) -> None:
    """Let go of a terminal; a shell that was executed for it hears of it."""
    with (contextlib.closing(terminal),
          contextlib.suppress(errors.EngineError, ProcessLookupError,
                              FileNotFoundError)):
        executed = terminal.process()
        if executed:
            privileged.hang_up(*executed)
