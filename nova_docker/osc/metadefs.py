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

"""openstack docker metadefs load"""

import argparse
import contextlib
import typing

from openstack import exceptions
from osc_lib.command import command

from nova_docker.spec import extra_specs

_Json = dict[str, typing.Any]

#: The docker_* properties of images, and docker_env_NAME beside them.
_IMAGE: dict[str, tuple[str, str]] = {
    'command': ('string', 'Arguments of the entrypoint, or the command: words '
                'quoted as in a shell, or a JSON list of strings.'),
    'entrypoint': ('string', 'The command that the former are arguments of.'),
    'user': ('string', 'Name or number of the user that runs the command.'),
    'workdir': ('string', 'Directory that the command starts in.'),
    'tty': ('boolean', 'Whether the command has a terminal.'),
    'console': ('string', 'Command that consoles run, in place of the '
                'terminal of the server.'),
    'stop_signal': ('string', 'Signal that asks the command to end.'),
    'image_type': ('string', 'rootfs: the image is a tar archive of a root '
                   'filesystem.'),
    'healthcheck': ('string', 'Command that tells whether the server is '
                    'healthy, or none.'),
    'healthcheck_interval': ('integer', 'Seconds between health checks.'),
    'healthcheck_timeout': ('integer', 'Seconds that one may take.'),
    'healthcheck_start_period': ('integer', 'Seconds in which failures do '
                                 'not count.'),
    'healthcheck_retries': ('integer', 'Failures that make it unhealthy.'),
    'init': ('boolean', 'Whether a small init is the first process.'),
    'tmpfs': ('string', 'File systems in memory: '
              'PATH[:OPTION,...][,PATH...].'),
    'image_ref': ('string', 'Image in a registry, in place of the data of '
                  'this one.'),
    'ssh_user': ('string', 'User who gets the key pair.'),
    'system_container': ('boolean', 'Whether the command is systemd or '
                         'another init.'),
    'dhcp': ('boolean', 'Whether the server sets up its interfaces itself. '
             'Its flavor must allow it.'),
    'volume_mount_path': ('string', 'Where file systems of volumes are '
                          'mounted, with {device} for their names.'),
}


def namespaces() -> list[_Json]:
    """The definitions, as Glance's metadefs API has them."""
    return [
        {'namespace': 'OS::Compute::DockerFlavor',
         'display_name': 'Containers of nova-docker',
         'description': 'What servers of a flavor have as containers. Hosts '
                        'that run nova-docker only.',
         'resource_type': 'OS::Nova::Flavor',
         'properties': [
             {'name': name, 'title': name.removeprefix(extra_specs.NAMESPACE),
              'description': spec.description, **spec.schema}
             for template, spec in extra_specs.SPECS.items()
             for name in _names(template, spec)]},
        {'namespace': 'OS::Compute::DockerImage',
         'display_name': 'Images of nova-docker',
         'description': 'How the container of an image runs.',
         'resource_type': 'OS::Glance::Image',
         'properties': [
             {'name': f'docker_{name}', 'title': name, 'type': kind,
              'description': description}
             for name, (kind, description) in _IMAGE.items()]},
    ]


def _names(template: str, spec: extra_specs.Spec) -> list[str]:
    return [template.replace(extra_specs.PARAMETER, name)
            for name in spec.known] if spec.known else [template]


def load(client: typing.Any, namespace: _Json) -> None:
    """Have a namespace in Glance as it is here (idempotent).

    :param client: the SDK's openstack.image.v2._proxy.Proxy
    :raises openstack.exceptions.SDKException: Glance refused
    """
    name = namespace['namespace']
    about = {key: namespace[key]
             for key in ('namespace', 'display_name', 'description')}
    try:
        client.create_metadef_namespace(visibility='public', **about)
    except exceptions.ConflictException:
        # Who may see and change it is not ours to say. Glance would take back
        # what is not said again.
        there = client.get_metadef_namespace(name)
        client.update_metadef_namespace(
            name, visibility=there.visibility, owner=there.owner,
            is_protected=there.is_protected, **about)
    with contextlib.suppress(exceptions.ConflictException):
        client.create_metadef_resource_type_association(
            name, name=namespace['resource_type'])
    client.delete_all_metadef_properties(name)
    for each in namespace['properties']:
        client.create_metadef_property(name, **each)


class LoadMetadefs(command.Command):
    """Load the definitions of extra specs and properties into Glance.

    Horizon offers them for flavors and images then. Run it again after an
    upgrade of nova-docker. It needs an administrator.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        manager: typing.Any = self.app.client_manager
        for namespace in namespaces():
            load(manager.docker, namespace)
