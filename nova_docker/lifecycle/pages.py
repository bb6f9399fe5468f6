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

"""Huge pages: of the instances that Nova has claimed them for, and no others.

Any process may map huge pages where the host has some, so all containers are
held to what is theirs.
"""

import collections.abc
import errno
import typing

from nova import exception
from nova.i18n import _
from oslo_log import log as logging
from oslo_utils import units

from nova_docker.host import numa
from nova_docker.lifecycle import base
from nova_docker.privsep import pages as privileged
from nova_docker.spec import extra_specs
from nova_docker.spec import names
from nova_docker.spec import pages

LOG = logging.getLogger(__name__)


def of(instance: typing.Any) -> pages.Pages:
    """What an instance has, as part of its flavor's memory.

    :raises nova.exception.BuildAbortException: it can't be
    """
    try:
        return pages.of(
            instance.numa_topology, numa.PAGE_KB,
            extra_specs.parse(instance.flavor.extra_specs).get(
                'huge_pages_mb'))
    except ValueError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=str(error)) from error


def refusals(services: base.Services) -> collections.abc.Iterator[str]:
    """Why no instance can have huge pages on this host."""
    if services.options.userns_remap:
        yield _('huge pages can not be mounted where the engine remaps users')
    if not numa.limits_pages():
        yield _('its control groups do not limit huge pages')


def danger() -> str:
    """Why servers could take each other's huge pages here; empty: they can't.
    """
    return ('This host has huge pages, and no control groups for hugetlb: any '
            'server can take them all'
            ) if any(numa.pages().values()) and not numa.limits_pages() else ''


def check(services: base.Services) -> None:
    """Warn of such a host."""
    if found := danger():
        LOG.warning('%s', found)


def apply(pid: int, container_id: str,
          labels: collections.abc.Mapping[str, str]) -> None:
    """Hold a container that starts to its huge pages.

    :param pid: of its first process
    :param labels: of the container
    :raises OSError: the host can not do that, and it has some
    """
    there = numa.pages()
    if not any(there.values()):
        return
    own = names.pages(labels)
    try:
        privileged.limit(pid, container_id, [
            [size, own.get(size, 0) * units.Mi] for size in sorted(there)])
    except OSError as error:
        if own or error.errno != errno.ENOENT:
            raise
