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

"""Service users, endpoints, and the demo project with its user."""

import pathlib
import sys
import typing

import openstack

from evalcloud import heat
from evalcloud import inside
from evalcloud import settings

_SERVICES = {'glance': ('image', ''), 'placement': ('placement', ''),
             'neutron': ('network', ''), 'nova': ('compute', '/v2.1')}
_OPTIONAL = {'cinder': ('block-storage', '/v3'),
             'heat': ('orchestration', '/v1/%(tenant_id)s')}


def main() -> None:
    cloud = settings.load(pathlib.Path(sys.argv[1]))
    assert cloud is not None
    admin: typing.Any = openstack.connect(cloud='nova-docker')
    identity = admin.identity
    for name in ('service', settings.USER):
        if not identity.find_project(name):
            identity.create_project(name=name, domain_id='default')
    roles = {role.name: role for role in identity.roles()}
    for name in ('member', 'reader', 'service'):
        if name not in roles:
            roles[name] = identity.create_role(name=name)
    _user(admin, settings.USER, cloud.password, settings.USER,
          [roles['member']])
    services = _SERVICES | {name: _OPTIONAL[name] for name in cloud.more}
    for name, (kind, path) in services.items():
        _user(admin, name, cloud.password, 'service',
              [roles['admin'], roles['service']])
        _endpoints(identity, name, kind, cloud.url(name) + path)
    if 'heat' in cloud.more:
        _endpoints(identity, 'heat-cfn', 'cloudformation',
                   cloud.url('heat-cfn') + '/v1')
        _stack_users(identity, cloud.password, roles['admin'])


def _endpoints(identity: typing.Any, name: str, kind: str, url: str) -> None:
    service = identity.find_service(name) or identity.create_service(
        name=name, type=kind)
    if next(identity.endpoints(service_id=service.id), None):
        return
    for interface in ('public', 'internal', 'admin'):
        identity.create_endpoint(
            service_id=service.id, interface=interface,
            region_id=settings.REGION, url=url)


def _stack_users(identity: typing.Any, password: str,
                 admin: typing.Any) -> None:
    """The domain of the users that Heat makes, and who may make them."""
    domain = identity.find_domain(heat.DOMAIN) or identity.create_domain(
        name=heat.DOMAIN)
    user = identity.find_user(
        heat.DOMAIN_ADMIN, domain_id=domain.id) or identity.create_user(
            name=heat.DOMAIN_ADMIN, password=password, domain_id=domain.id)
    identity.assign_domain_role_to_user(domain, user, admin)
    if not identity.find_role(heat.USER_ROLE):
        identity.create_role(name=heat.USER_ROLE)


def _user(admin: typing.Any, name: str, password: str,
          project_name: str, roles: list[typing.Any]) -> None:
    identity = admin.identity
    project = identity.find_project(project_name)
    user = identity.find_user(name) or identity.create_user(
        name=name, password=password, domain_id='default',
        default_project_id=project.id)
    for role in roles:
        identity.assign_project_role_to_user(project, user, role)


if __name__ == '__main__':
    inside.run(main)
