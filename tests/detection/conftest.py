"""A project with a proxy: the command line's."""

from tests.cli.conftest import project as project
