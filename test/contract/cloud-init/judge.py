"""What the cloud-init beside this Python makes of user data.

stdin: a JSON list of texts in base64. stdout: a JSON list of verdicts in two words.

- "valid", "invalid" or "skipped": what `cloud-init schema` says, which skips what is no cloud-config.
- "kept" or "dropped": whether a handler takes anything of it, as at boot. No script runs, and no URL is fetched.
"""

import base64
import contextlib
import io
import json
import logging
import sys
import tempfile

import certifi

# The bundle is made by a maintainer script, which did not run. Python's HTTP library does not load without one.
certifi.where = lambda: "/usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt"

from cloudinit import handlers, user_data
from cloudinit.config import schema
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
from cloudinit.handlers.jinja_template import JinjaTemplatePartHandler
from cloudinit.helpers import Paths
from cloudinit.settings import PER_INSTANCE

full_schema = schema.get_schema()


class Fetched:
    contents = b"#cloud-config\nruncmd: [ls]\n"

    def ok(self):
        return True


user_data.read_file_or_url = lambda *_args, **_kwargs: Fetched()


class Recorder:
    """In place of the handlers that write scripts and run programs."""

    handler_version = 2
    parts = 0

    def list_types(self):
        return ["text/x-shellscript", "text/cloud-boothook", "text/part-handler"]

    def handle_part(self, *_args):
        self.parts += 1


def by_schema(path, instance_data):
    # A ValueError of a value, such as a date, ends the command; SchemaValidationError is one too.
    try:
        return "valid" if schema.validate_cloudconfig_file(path, full_schema, instance_data_path=instance_data) else "skipped"
    except (ValueError, RuntimeError):
        return "invalid"


def is_kept(blob, paths):
    config = CloudConfigPartHandler(paths)
    recorder = Recorder()
    jinja = JinjaTemplatePartHandler(paths, sub_handlers=[config, recorder])
    by_type = {kind: one for one in (config, recorder, jinja) for kind in one.list_types()}

    def callback(_data, filename, payload, headers):
        one = by_type.get(headers["Content-Type"])
        if one is recorder:
            recorder.handle_part()
        elif one is not None:
            handlers.run_part(one, None, filename, payload, PER_INSTANCE, headers)

    handlers.walk(user_data.UserDataProcessor(paths).process(blob), callback, None)
    return recorder.parts > 0 or len(config.file_names) > 0


def judge(blob):
    with tempfile.TemporaryDirectory() as directory:
        path, instance_data = f"{directory}/user-data", f"{directory}/instance-data-sensitive.json"
        with open(path, "wb") as file:
            file.write(blob)
        with open(instance_data, "w") as file:
            json.dump({"v1": {"local_hostname": "web"}}, file)
        paths = Paths({"cloud_dir": directory, "run_dir": directory})
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            kept = "kept" if is_kept(blob, paths) else "dropped"
            return f"{by_schema(path, instance_data)} {kept}"


logging.disable(logging.CRITICAL)
json.dump([judge(base64.b64decode(text)) for text in json.load(sys.stdin)], sys.stdout)
