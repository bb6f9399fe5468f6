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

"""Policy routing: what an address sends is routed by a table of its port.

A table is a dict with the keys of nova_docker.spec.routing.Table. Rules and
routes bear a protocol number of the driver's own, which tells them from those
that the kernel, a router's advertisements or root in the container made.
"""

import collections.abc
import contextlib
import errno
import socket
import typing

import pyroute2
from pyroute2.netlink import exceptions as netlink_exceptions

#: Address families, by the version of the Internet Protocol.
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

#: None of linux/rtnetlink.h or of a routing daemon.
_PROTOCOL = 210

_LENGTH = {4: 32, 6: 128}
_ANY = {4: '0.0.0.0', 6: '::'}
#: Without CONFIG_FIB_RULES, and where only one family has them.
_NO_RULES = (errno.EOPNOTSUPP, errno.EAFNOSUPPORT)

_Plain = collections.abc.Mapping[str, typing.Any]
_Tables = collections.abc.Sequence[tuple[int, _Plain]]
#: Address and table.
#: Address, table and priority.
_Rule = tuple[str, int, int]
#: Table, index of the interface, destination, gateway and metric.
_Route = tuple[int, int, str, str | None, int]


def apply(ip: pyroute2.IPRoute, tables: _Tables) -> bool:
    """Have these tables in a namespace, and no others of the driver's.

    What is there already is not touched.

    :param tables: each with the index of its port's interface
    :returns: False where the kernel has no rules for an address of theirs
    :raises pyroute2.netlink.exceptions.NetlinkError: it refuses one
    """
    return all([_apply(ip, tables, version) for version in FAMILY])


def arguments(index: int | None, route: _Plain) -> dict[str, typing.Any]:
    """A nova_docker.spec.ports.Route for pyroute2."""
    hop = ({'gateway': route['gateway']} if route['gateway'] else
           {'scope': 'link'})
    return {'dst': route['destination'], 'oif': index,
            'priority': route['metric'],
            'family': FAMILY[route['version']], **hop}


@contextlib.contextmanager
def gone(code: int) -> collections.abc.Iterator[None]:
    """What is to be removed, root in the container may have removed."""
    try:
        yield
    except netlink_exceptions.NetlinkError as error:
        if error.code != code:
            raise


def _apply(ip: pyroute2.IPRoute, tables: _Tables, version: int) -> bool:
    wanted = [(address['address'], table['number'], table['priority'])
              for _, table in tables for address in table['addresses']
              if address['version'] == version]
    rules = _rules(ip, version)
    if rules is None:
        return not wanted
    for rule in rules.difference(wanted):
        with gone(errno.ENOENT):
            ip.rule('del', **_rule(rule, version))
    _set_routes(ip, tables, version)
    for rule in wanted:
        if rule not in rules:
            ip.rule('add', **_rule(rule, version))
    return True


def _set_routes(ip: pyroute2.IPRoute, tables: _Tables, version: int) -> None:
    # In their order: a gateway must be on the link by those before it.
    wanted = dict(_known_by(table['number'], index, route)
                  for index, table in tables for route in table['routes']
                  if route['version'] == version)
    routes = _routes(ip, version)
    for key, route in routes.items():
        if key not in wanted:
            with gone(errno.ESRCH):
                ip.route('del', **route)
    for key, route in wanted.items():
        if key not in routes:
            ip.route('replace', **route)


def _rules(ip: pyroute2.IPRoute, version: int) -> set[_Rule] | None:
    """The driver's rules; None: the kernel has none at all."""
    try:
        return {(rule.get_attr('FRA_SRC'), rule.get_attr('FRA_TABLE'),
                 rule.get_attr('FRA_PRIORITY'))
                for rule in ip.get_rules(family=FAMILY[version])
                if rule.get_attr('FRA_PROTOCOL') == _PROTOCOL}
    except netlink_exceptions.NetlinkError as error:
        if error.code not in _NO_RULES:
            raise
        return None


def _rule(rule: _Rule, version: int) -> dict[str, typing.Any]:
    address, table, priority = rule
    return {'src': address, 'src_len': _LENGTH[version], 'table': table,
            'priority': priority, 'protocol': _PROTOCOL,
            'family': FAMILY[version]}


def _routes(ip: pyroute2.IPRoute, version: int
            ) -> dict[_Route, dict[str, typing.Any]]:
    """The driver's routes."""
    return dict(
        _known_by(each.get_attr('RTA_TABLE'), each.get_attr('RTA_OIF'), {
            'destination': f'{each.get_attr("RTA_DST") or _ANY[version]}'
                           f'/{each["dst_len"]}',
            'gateway': each.get_attr('RTA_GATEWAY'),
            'metric': each.get_attr('RTA_PRIORITY') or 0,
            'version': version})
        for each in ip.get_routes(family=FAMILY[version])
        if each['proto'] == _PROTOCOL)


def _known_by(table: int, index: int, route: _Plain
              ) -> tuple[_Route, dict[str, typing.Any]]:
    """What tells a route from others, and the route for pyroute2."""
    return ((table, index, route['destination'], route['gateway'],
             route['metric']),
            {'table': table, 'proto': _PROTOCOL, **arguments(index, route)})
