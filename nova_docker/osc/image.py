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

"""openstack docker image create"""

import argparse
import collections.abc
import functools
import sys
import typing

from osc_lib.cli import format_columns
from osc_lib.cli import parseractions
from osc_lib.command import command
from osc_lib import exceptions

from nova_docker.image import tar
from nova_docker import osc
from nova_docker.osc import checked
from nova_docker.osc import checks
from nova_docker.osc import progress
from nova_docker.osc import properties
from nova_docker.osc import sources
from nova_docker.osc import upload

_Json = dict[str, typing.Any]

_COLUMNS = ('id', 'name', 'status', 'visibility', 'protected', 'owner',
            'container_format', 'disk_format', 'size', 'min_disk', 'min_ram',
            'checksum', 'created_at', 'updated_at')
_HIDDEN = ('file', 'schema', 'location', 'os_hash_algo', 'os_hash_value',
           'os_hidden', 'virtual_size', 'tags', 'properties')


class CreateImage(command.ShowOne):
    """Create an image for servers that are containers.

    The data goes from its source into the Image service without a copy on
    this machine, and is checked on its way as a compute host would do it.
    Formats, architecture and minimum disk are set from it.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'name', metavar='<image-name>', help='New image name')
        parser.add_argument(
            '--from', dest='source', metavar='<source>', required=True,
            help='Where the image is: docker://REGISTRY/NAME[:TAG|@DIGEST] '
                 '(needs skopeo), docker-daemon:NAME[:TAG] (the engine of '
                 'DOCKER_HOST), docker-archive:FILE (docker save), '
                 'oci:DIR[:TAG], oci-archive:FILE or rootfs:FILE (tar of a '
                 'root filesystem); a dash as FILE is standard input')
        parser.add_argument(
            '--architecture', metavar='<architecture>',
            help='Architecture of the image, as x86_64 or aarch64; chooses '
                 'from several (default: that of the image; of a root '
                 'filesystem, of this machine)')
        parser.add_argument(
            '--min-disk', metavar='<disk-gb>', type=int,
            help='Minimum disk size needed to boot image, in gigabytes '
                 '(default: the unpacked size)')
        parser.add_argument(
            '--min-ram', metavar='<ram-mb>', type=int,
            help='Minimum RAM size needed to boot image, in megabytes')
        parser.add_argument(
            '--property', dest='properties', metavar='<key=value>',
            action=parseractions.KeyValueAction, default={},
            help='Set a property on this image, for example docker_command '
                 '(repeat option to set multiple properties)')
        parser.add_argument(
            '--tag', dest='tags', metavar='<tag>', action='append',
            help='Set a tag on this image (repeat option to set multiple '
                 'tags)')
        parser.add_argument(
            '--protected', dest='is_protected', action='store_true',
            default=None, help='Prevent image from being deleted')
        _add_visibility(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[tuple[str, ...], tuple[typing.Any, ...]]:
        architecture = _architecture(parsed_args.architecture)
        manager: typing.Any = self.app.client_manager
        try:
            with sources.opened(parsed_args.source, architecture) as source:
                image = upload.create(
                    manager.docker,
                    _attributes(parsed_args, source.rootfs),
                    _data(source, architecture))
        except (osc.SourceError, tar.Refused) as exc:
            raise exceptions.CommandError(str(exc)) from exc
        return _columns(image.to_dict(original_names=True))


def _add_visibility(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    for name, meaning in (
            ('public', 'accessible and visible to all users'),
            ('private', 'only accessible by the owner'),
            ('community', 'accessible by all users but does not appear in '
                          'the default image list of any but the owner'),
            ('shared', 'only accessible by the owner and image members')):
        group.add_argument(
            f'--{name}', dest='visibility', action='store_const', const=name,
            help=f'Image is {meaning}')


def _architecture(name: str | None) -> str | None:
    """Docker's name of the architecture that the user gave."""
    try:
        return None if name is None else properties.docker_architecture(name)
    except ValueError as exc:
        raise exceptions.CommandError(
            f'Unknown architecture: {name}') from exc


def _attributes(parsed_args: argparse.Namespace, rootfs: bool) -> _Json:
    """What the record has from the beginning."""
    fixed = {'name': parsed_args.name, 'disk_format': 'raw',
             'container_format': 'bare' if rootfs else 'docker'}
    fixed |= {name: getattr(parsed_args, name)
              for name in ('min_disk', 'min_ram', 'visibility', 'tags',
                           'is_protected')
              if getattr(parsed_args, name) is not None}
    if rootfs:
        fixed['docker_image_type'] = 'rootfs'
    for name in parsed_args.properties:
        if name in fixed or name in _COLUMNS or name in _HIDDEN:
            raise exceptions.CommandError(
                f'{name} cannot be given as a property')
    return {'img_hv_type': 'docker', **parsed_args.properties, **fixed}


def _data(source: sources.Source, architecture: str | None
          ) -> checked.Checked[upload.Facts]:
    """The data with its check."""
    check = checks.check_rootfs if source.rootfs else checks.check_archive
    return checked.Checked(
        progress.shown(source.chunks, source.size, sys.stderr),
        functools.partial(check, architecture=architecture))


def _columns(image: collections.abc.Mapping[str, typing.Any]
             ) -> tuple[tuple[str, ...], tuple[typing.Any, ...]]:
    """Names and values of what is shown of an image.

    :param image: as the SDK shows it: known properties at its top, and the
        others in one of them
    """
    found = {key: value for key, value in image.items()
             if value is not None and key not in (*_COLUMNS, *_HIDDEN)}
    found |= image.get('properties') or {}
    return ((*_COLUMNS, 'tags', 'properties'),
            (*(image.get(name) for name in _COLUMNS),
             format_columns.ListColumn(image.get('tags') or []),
             format_columns.DictColumn(found)))
