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

"""Instances that set up their interfaces themselves, by DHCP for example.

The image property ``docker_dhcp`` asks for it, as only the image knows whether
there is a client. That takes the capability NET_ADMIN, which is not for an
image to get: the flavor extra spec ``docker:net_admin`` has to allow it.
"""

import collections.abc

from oslo_utils import strutils

from nova_docker.spec import bandwidth
from nova_docker.spec import environment

_ALLOWED_BY = 'docker:net_admin'


def wanted(image_properties: collections.abc.Mapping[str, str]) -> bool:
    """Whether an instance sets up its interfaces itself.

    :param image_properties: of
        :func:`nova_docker.spec.environment.properties`
    :raises ValueError: the property is malformed
    """
    return environment.boolean('docker_dhcp',
                               image_properties.get('dhcp', 'false'))


def check(extra_specs: collections.abc.Mapping[str, str],
          limits: bandwidth.Limits) -> None:
    """See that the flavor of an instance lets it.

    :param limits: of the flavor, too
    :raises ValueError: it does not
    """
    if not strutils.bool_from_string(extra_specs.get(_ALLOWED_BY, 'false')):
        raise ValueError('the image property docker_dhcp needs the flavor '
                         f'extra spec {_ALLOWED_BY}=true')
    if limits != bandwidth.Limits():
        # Its limits are on its own end of a port.
        raise ValueError('with the image property docker_dhcp an instance '
                         'could lift the limits of the flavor (quota:vif_*); '
                         'use a QoS policy of Neutron')
