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

"""The body of POST /containers/create: a merge of the other spec modules."""

import collections.abc
import typing

from nova_docker.spec import names
from nova_docker.spec import security

#: Characters.
_HOST_NAME_MAX = 64


def build(labels: collections.abc.Mapping[str, str], hostname: str | None,
          image: str, environment: collections.abc.Mapping[str, typing.Any],
          limits: collections.abc.Mapping[str, typing.Any],
          dns: collections.abc.Mapping[str, typing.Any],
          hosts: collections.abc.Mapping[str, typing.Any],
          image_host: collections.abc.Mapping[str, typing.Any] | None = None
          ) -> dict[str, typing.Any]:
    """The create body of an instance's container.

    :param labels: of :func:`nova_docker.spec.names.labels`
    :param image: engine reference of the image
    :param environment: of :func:`nova_docker.spec.environment.config`
    :param limits: HostConfig of the flavor: of nova_docker.spec.limits,
        nova_docker.spec.security and :func:`log`
    :param dns: of :func:`dns`
    :param hosts: of :func:`hosts`
    :param image_host: of :func:`nova_docker.spec.environment.host_config`
    """
    return {
        'Image': image,
        'Hostname': kernel_hostname(hostname),
        'Labels': dict(labels),
        **environment,
        'HostConfig': {
            **(image_host or {}),
            **security.host_config(), **limits, **dns, **hosts,
            # Nova decides what starts again, and when.
            'RestartPolicy': {'Name': 'no'},
            'DeviceRequests': [{
                'Driver': 'cdi',
                'DeviceIDs': [names.cdi_device(names.device(
                    names.instance_uuid(labels),
                    names.is_rescue(labels)))]}],
        },
    }


def with_device(body: collections.abc.Mapping[str, typing.Any],
                name: collections.abc.Callable[[str], str]
                ) -> dict[str, typing.Any]:
    """A create body with one more CDI device of the instance.

    Its hook comes later: a start that it fails has passed the gate, and is
    not tried again.

    :param name: of nova_docker.spec.names, which makes its name of the first
    """
    requests = body['HostConfig']['DeviceRequests']
    first, = requests[0]['DeviceIDs']
    return {**body, 'HostConfig': {
        **body['HostConfig'],
        'DeviceRequests': [*requests, {'Driver': 'cdi',
                                       'DeviceIDs': [name(first)]}]}}


def dns(servers: collections.abc.Sequence[str],
        search: collections.abc.Sequence[str],
        options: collections.abc.Sequence[str]) -> dict[str, typing.Any]:
    """HostConfig of the resolver; unset, the host's own would leak in."""
    return {'Dns': list(servers), 'DnsSearch': list(search),
            'DnsOptions': list(options)}


def hosts(hostname: str | None, address: str | None) -> dict[str, typing.Any]:
    """HostConfig of /etc/hosts, so that an instance can find itself.

    The engine does this only where it makes the network.

    :param address: None for an instance without any; it is its own loopback
    """
    known = dict.fromkeys((hostname, kernel_hostname(hostname)))
    return {'ExtraHosts': [f'{name}:{address or "127.0.1.1"}'
                           for name in known if name]}


def kernel_hostname(hostname: str | None) -> str | None:
    """The instance's host name, or its first label where it is too long.

    Nova takes names of 255 characters (microversion 2.94), the kernel 64
    (sethostname(2)). The metadata tell the whole.

    :param hostname: may be None in an Instance; the engine makes one then
    """
    if hostname is None or len(hostname) <= _HOST_NAME_MAX:
        return hostname
    return hostname.partition('.')[0][:_HOST_NAME_MAX].rstrip('-')


def criu(config: str) -> dict[str, typing.Any]:
    """HostConfig of what CRIU does for a container.

    Source: libcontainer/SPEC.md of runc.

    :param config: path of a file with options of criu(8)
    """
    return {'Annotations': {'org.criu.config': config}}


def log(max_size: int, max_files: int) -> dict[str, typing.Any]:
    """HostConfig of the console log.

    :param max_size: MiB of one file
    :param max_files: number of files
    """
    return {'LogConfig': {
        'Type': 'json-file',
        'Config': {'max-size': f'{max_size}m', 'max-file': str(max_files)}}}
